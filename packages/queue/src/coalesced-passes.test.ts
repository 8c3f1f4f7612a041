import { expect, test } from "vitest";
import { parseBackendId, type BackendId } from "@mayfly/spec";
import { createFakeClock, createRecordingLog } from "@mayfly/testkit";
import { coalescePasses } from "./coalesced-passes.ts";

const orders = parseBackendId("orders-db", "test");
const stock = parseBackendId("stock-db", "test");

test("never two passes of one backend at once, and each wake-up is followed by a whole pass", async () => {
  const clock = createFakeClock();
  const running = new Set<BackendId>();
  const began: number[] = [];
  const passes = coalescePasses(
    async (backendId) => {
      expect(running.has(backendId)).toBe(false);
      running.add(backendId);
      if (backendId === orders) began.push(clock.monotonicMs());
      await clock.sleep(10);
      running.delete(backendId);
    },
    { clock, log: createRecordingLog(), passTimeoutMs: 1_000 },
  );
  const woken: Promise<unknown>[] = [];
  for (let atMs = 0; atMs < 40; atMs += 4) {
    woken.push(passes.wake(orders), passes.wake(stock));
    await clock.advance(4);
  }
  await clock.advance(100);
  await Promise.all(woken);
  // The last wake-up was at 36 ms; a pass that began after it has run.
  expect(began).toEqual([0, 10, 20, 30, 40]);
});

test("a pass that takes too long is logged and gives its place back", async () => {
  const clock = createFakeClock();
  const log = createRecordingLog();
  let calls = 0;
  const passes = coalescePasses(
    () => {
      calls++;
      return calls === 1 ? new Promise<void>(() => undefined) : Promise.resolve();
    },
    { clock, log, passTimeoutMs: 1_000 },
  );
  const first = passes.wake(orders);
  await clock.advance(1_000);
  await first;
  expect(log.messages("error")).toEqual(["a pass failed; the next sweep takes its rows"]);
  await passes.wake(orders);
  expect(calls).toBe(2);
});
