import { expect, test } from "vitest";
import { systemClock } from "./system-clock.ts";
import { systemRandom } from "./system-random.ts";

test("sleeping takes its time, on both clocks", async () => {
  const [wall, monotonic] = [systemClock.now(), systemClock.monotonicMs()];
  await systemClock.sleep(30);
  expect(systemClock.monotonicMs() - monotonic).toBeGreaterThanOrEqual(29);
  expect(systemClock.now() - wall).toBeGreaterThanOrEqual(28);
});

test("an aborted sleep rejects at once with the reason, before and during", async () => {
  const stop = new AbortController();
  const asleep = systemClock.sleep(60_000, stop.signal);
  stop.abort(new Error("shutting down"));
  await expect(asleep).rejects.toThrow("shutting down");
  await expect(systemClock.sleep(60_000, stop.signal)).rejects.toThrow("shutting down");
});

test("a sleep longer than a timer can hold does not end at once", async () => {
  const stop = new AbortController();
  let woke = false;
  const asleep = systemClock.sleep(2 ** 32, stop.signal).then(
    () => {
      woke = true;
    },
    () => undefined,
  );
  await systemClock.sleep(20);
  expect(woke).toBe(false);
  stop.abort(new Error("enough"));
  await asleep;
});

test("random bytes are as many as asked, and differ", () => {
  expect(systemRandom.bytes(0)).toHaveLength(0);
  const one = systemRandom.bytes(32);
  expect(one).toHaveLength(32);
  expect(one).not.toEqual(systemRandom.bytes(32));
});
