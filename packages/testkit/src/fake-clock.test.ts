import fc from "fast-check";
import { expect, test } from "vitest";
import { instantMs } from "@mayfly/spec";
import { createFakeClock } from "./fake-clock.ts";
import { createRecordingLog } from "./recording-log.ts";
import { seededRandom } from "./seeded-random.ts";

test("sleepers wake in the order they are due, each at its own instant", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat({ max: 1_000 }), { maxLength: 20 }), async (delays) => {
      const clock = createFakeClock();
      const woke: number[] = [];
      const asleep = delays.map(async (ms) => {
        await clock.sleep(ms);
        expect(clock.monotonicMs()).toBe(ms);
        woke.push(ms);
      });
      await clock.advance(1_000);
      await Promise.all(asleep);
      expect(woke).toEqual(delays.toSorted((a, b) => a - b));
      expect(clock.sleepers).toBe(0);
      expect(clock.monotonicMs()).toBe(1_000);
    }),
    { numRuns: 50 },
  );
});

test("a sleeper that sleeps again within an advance is woken again within it", async () => {
  const clock = createFakeClock();
  const ticks: number[] = [];
  const loop = async (): Promise<void> => {
    while (ticks.length < 3) {
      await clock.sleep(100);
      ticks.push(clock.monotonicMs());
    }
  };
  const done = loop();
  await clock.advance(250);
  expect(ticks).toEqual([100, 200]);
  expect(await clock.advanceToNext()).toBe(true);
  await done;
  expect(ticks).toEqual([100, 200, 300]);
  expect(await clock.advanceToNext()).toBe(false);
});

test("an aborted sleeper rejects with the reason and is forgotten", async () => {
  const clock = createFakeClock();
  const stop = new AbortController();
  const asleep = clock.sleep(100, stop.signal);
  expect(clock.sleepers).toBe(1);
  stop.abort(new Error("shutting down"));
  await expect(asleep).rejects.toThrow("shutting down");
  await expect(clock.sleep(1, stop.signal)).rejects.toThrow("shutting down");
  expect(clock.sleepers).toBe(0);
});

test("a jump of the wall clock wakes nobody", async () => {
  const clock = createFakeClock(1_000);
  let woke = false;
  const asleep = clock.sleep(10).then(() => {
    woke = true;
  });
  clock.jumpWallClock(3_600_000);
  await clock.settle();
  expect(clock.now()).toBe(instantMs(3_601_000));
  expect(woke).toBe(false);
  await clock.advance(10);
  await asleep;
  expect(clock.monotonicMs()).toBe(10);
});

test("a seed gives the same bytes however they are asked for, and another gives others", () => {
  const whole = seededRandom(7).bytes(100);
  const inParts = seededRandom(7);
  const parts = [1, 31, 33, 35].flatMap((count) => [...inParts.bytes(count)]);
  expect(parts).toEqual([...whole]);
  expect(seededRandom(8).bytes(100)).not.toEqual(whole);
});

test("a recording log finds a secret in every place and every usual shape", () => {
  const secret = "s3cr3t/with+signs?";
  const shapes = [
    secret,
    encodeURIComponent(secret),
    Buffer.from(secret).toString("base64"),
    Buffer.from(secret).toString("base64url"),
    Buffer.from(secret).toString("hex"),
  ];
  for (const shape of shapes) {
    for (const tell of [
      (log: ReturnType<typeof createRecordingLog>) => log.info(`a ${shape} b`),
      (log: ReturnType<typeof createRecordingLog>) => log.child({ a: { b: [shape] } }).info("x"),
      (log: ReturnType<typeof createRecordingLog>) =>
        log.warn("x", {}, new Error("y", { cause: Object.assign(new Error("z"), { at: shape }) })),
    ]) {
      const log = createRecordingLog();
      log.assertNoSecret(secret);
      tell(log);
      expect(() => log.assertNoSecret(secret), shape).toThrow("the log shows a secret");
    }
  }
});
