import { afterAll, beforeAll, expect, test } from "vitest";
import { startInstallation, type Installation } from "../harness/index.ts";

let mayfly: Installation;
beforeAll(async () => {
  mayfly = await startInstallation();
});
afterAll(() => mayfly[Symbol.asyncDispose]());

const OTHER = "aaaaaaaa";

test("a process that is pinned to another installation does not start over this ledger", async () => {
  const pinned = { MAYFLY_INSTALLATION: OTHER };
  for (const start of [() => mayfly.startWorker(pinned), () => mayfly.startBroker(pinned)]) {
    const failure: unknown = await start().then(
      () => null,
      (error: unknown) => error,
    );
    const said = failure instanceof Error ? failure.message : "it started";
    expect(said).toContain("MAYFLY_INSTALLATION");
    expect(said).toContain(`it names ${OTHER}, and the ledger is of ${mayfly.id}`);
    expect(said).toContain("config_invalid");
  }
  const sweeps = await mayfly.ledger`SELECT FROM mayfly.sweeps`;
  expect(sweeps).toHaveLength(0);
});

test("one that is pinned to this installation does", async () => {
  const pinned = { MAYFLY_INSTALLATION: mayfly.id };
  const broker = await mayfly.startBroker(pinned);
  const worker = await mayfly.startWorker(pinned);
  expect([broker.hasEnded(), worker.hasEnded()]).toEqual([false, false]);
});
