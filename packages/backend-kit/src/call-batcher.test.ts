import { createFakeClock } from "@mayfly/testkit";
import { expect, test } from "vitest";
import { CallBatcher, type CallBatching } from "./call-batcher.ts";

type Batching = CallBatching<number, string>;
const done = async (items: readonly number[]): Promise<ReadonlyMap<number, string>> =>
  new Map(items.map((item) => [item, "done"]));
const batcherOf = (options: Partial<Batching>): CallBatcher<number, string> =>
  new CallBatcher({
    work: done,
    isOfOne: () => true,
    refusal: (why) => new Error(why),
    batchMax: 64,
    waitingMax: 1_000,
    atOnce: 1,
    ...options,
  });
const never = (): AbortSignal => new AbortController().signal;
const fates = (runs: readonly Promise<string>[]): Promise<readonly string[]> =>
  Promise.all(runs.map((run) => run.catch((error: unknown) => (error as Error).message)));

test("one is sent at once; what comes meanwhile goes together as the next batch", async () => {
  const clock = createFakeClock();
  const sizes: number[] = [];
  const batcher = batcherOf({
    work: async (items) => {
      sizes.push(items.length);
      await clock.sleep(10);
      return done(items);
    },
  });
  const runs = Array.from({ length: 100 }, (_, n) => batcher.run(n, never()));
  await clock.advance(50);
  expect(new Set(await fates(runs))).toEqual(new Set(["done"]));
  expect(sizes).toEqual([1, 64, 35]);
});

test.each([2, 3, 7, 64, 65])(
  "of a batch that one of %s spoils only the guilty is told, wherever in it that is",
  async (count) => {
    for (let guilty = 0; guilty < count; guilty++) {
      const batcher = batcherOf({
        work: async (items) => {
          if (items.includes(guilty)) throw new Error("spoiled");
          return done(items);
        },
      });
      const runs = Array.from({ length: count }, (_, n) => batcher.run(n, never()));
      const expected = runs.map((_, n) => (n === guilty ? "spoiled" : "done"));
      expect(await fates(runs)).toEqual(expected);
    }
  },
);

test("a failure of all is told to each, and nothing is sent again", async () => {
  let exchanges = 0;
  const batcher = batcherOf({
    isOfOne: () => false,
    work: async () => {
      exchanges++;
      throw new Error("away");
    },
  });
  expect(await fates([1, 2, 3].map((n) => batcher.run(n, never())))).toEqual([
    "away",
    "away",
    "away",
  ]);
  expect(exchanges).toBe(2);
});

test("where all are guilty, halving stops after so many exchanges, and each is told", async () => {
  let exchanges = 0;
  const batcher = batcherOf({
    work: async () => {
      exchanges++;
      throw new Error("spoiled");
    },
  });
  const runs = Array.from({ length: 65 }, (_, n) => batcher.run(n, never()));
  expect(new Set(await fates(runs))).toEqual(new Set(["spoiled"]));
  expect(exchanges).toBe(1 + 40);
});

test("who gives up is told at once whether it was sent, is not sent later, and holds up no other", async () => {
  const clock = createFakeClock();
  const sent: number[] = [];
  const batcher = batcherOf({
    work: async (items) => {
      sent.push(...items);
      await clock.sleep(10);
      return done(items);
    },
  });
  const impatient = new AbortController();
  const runs = [
    batcher.run(1, impatient.signal),
    batcher.run(2, impatient.signal),
    batcher.run(3, never()),
  ];
  const told = fates(runs);
  impatient.abort(new Error("its time is over"));
  await clock.advance(30);
  expect(await told).toEqual(["given up when it was sent", "given up", "done"]);
  expect(sent).toEqual([1, 3]);
  expect(await fates([batcher.run(4, impatient.signal)])).toEqual(["given up"]);
});

test("beyond so many who wait, whoever comes is told so; a batch that hangs has its place alone", async () => {
  const clock = createFakeClock();
  const batcher = batcherOf({
    waitingMax: 2,
    atOnce: 2,
    batchMax: 1,
    work: async (items) => {
      if (items.includes(1)) await clock.sleep(1_000);
      return done(items);
    },
  });
  const hangs = batcher.run(1, never());
  expect(await fates([2, 3, 4, 5].map((n) => batcher.run(n, never())))).toEqual([
    "done",
    "done",
    "done",
    "too many wait",
  ]);
  await clock.advance(1_000);
  expect(await hangs).toBe("done");
});
