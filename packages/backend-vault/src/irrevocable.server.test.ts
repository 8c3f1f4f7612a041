import { backendErrorOf, revoking } from "@mayfly/testkit/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readHandle } from "./lease-mark.ts";
import { startFakeEngine } from "./testing/vault-benches.ts";

let engine: Awaited<ReturnType<typeof startFakeEngine>>;
beforeAll(async () => {
  engine = await startFakeEngine();
});
afterAll(() => engine.stop());

test("a lease that the server has given up says so, and is asked for until it is gone", async () => {
  const { bench, fake } = engine;
  const issued = await bench.open.issue(bench.plan(), bench.issueCall());
  const { lease_id: leaseId = "" } = readHandle(issued.handle);
  fake.engine.fails = true;
  const open = revoking(bench.open);
  const first = await backendErrorOf(open.revoke(issued.handle, bench.call()));
  expect(first.message).toContain("does not revoke its lease at database/creds/reader");
  expect(first.message).not.toContain("irrevocable");
  fake.state.irrevocable.add(leaseId);
  const second = await backendErrorOf(open.revoke(issued.handle, bench.call()));
  expect(second.message).toContain("irrevocable");
  expect(second.retry.kind).toBe("after");
  expect((await open.probe(issued.handle, bench.call())).verdict).toBe("accepted");
  fake.engine.fails = false;
  await open.revoke(issued.handle, bench.call());
  expect((await open.probe(issued.handle, bench.call())).verdict).toBe("refused");
  expect(await engine.accounts()).toEqual([]);
});
