import { expect, it } from "vitest";
import { systemClock } from "@mayfly/host";
import { BrokerError } from "@mayfly/spec";
import { createFakeClock, createRecordingLog } from "@mayfly/testkit";
import { serveHealth } from "./serve-health.ts";

const LISTEN = { host: "127.0.0.1", port: 0 };
const log = createRecordingLog();

it("answers 200 or 503 with each check by name, and nothing else at all", async () => {
  let [loop, queue] = [true, true];
  const health = {
    alive: () => [{ name: "sweep", ok: loop }],
    ready: async () => [{ name: "queue", ok: queue, detail: "redis://secret" }],
  };
  const clock = createFakeClock();
  const served = await serveHealth(LISTEN, health, { clock, log });
  const ask = async (path: string, method = "GET") => {
    const answer = await fetch(`${served.url}${path}`, { method });
    return [answer.status, await answer.text()] as const;
  };
  expect(await ask("/healthz")).toEqual([
    200,
    '{"status":"ok","checks":[{"name":"sweep","ok":true}]}',
  ]);
  expect(await ask("/readyz")).toEqual([
    200,
    '{"status":"ready","checks":[{"name":"queue","ok":true}]}',
  ]);
  [loop, queue] = [false, false];
  expect((await ask("/healthz"))[0]).toBe(503);
  // Its answer is a second old at most.
  expect((await ask("/readyz"))[0]).toBe(200);
  await clock.advance(1000);
  expect(await ask("/readyz")).toEqual([
    503,
    '{"status":"not_ready","checks":[{"name":"queue","ok":false}]}',
  ]);
  expect(await ask("/readyz", "HEAD")).toEqual([503, ""]);
  expect((await ask("/metrics"))[0]).toBe(404);
  expect((await ask("/healthz", "POST"))[0]).toBe(405);
  await served.close();
});

it("says that it is not ready where a check does not answer", async () => {
  const clock = createFakeClock();
  const health = { alive: () => [], ready: () => new Promise<never>(() => undefined) };
  const served = await serveHealth(LISTEN, health, { clock, log });
  const asked = fetch(`${served.url}/readyz`);
  let isDone = false;
  const done = (): void => {
    isDone = true;
  };
  asked.then(done, done);
  for (let turn = 0; turn < 1000 && !isDone; turn++) {
    await clock.advance(100);
    await systemClock.sleep(5);
  }
  const answer = await asked;
  expect([answer.status, await answer.json()]).toEqual([
    503,
    { status: "not_ready", checks: [{ name: "in_time", ok: false }] },
  ]);
  await served.close();
});

it("names the setting whose address is taken", async () => {
  const health = { alive: () => [], ready: async () => [] };
  const ports = { clock: systemClock, log };
  const first = await serveHealth(LISTEN, health, ports);
  const taken = { host: "127.0.0.1", port: Number(new URL(first.url).port) };
  const refused = await serveHealth(taken, health, ports).catch((error: unknown) => error);
  expect(BrokerError.is(refused) && refused.message).toContain("MAYFLY_HEALTH_LISTEN");
  await first.close();
});
