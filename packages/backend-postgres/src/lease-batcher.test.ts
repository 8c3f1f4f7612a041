import fc from "fast-check";
import { expect, test } from "vitest";
import type { Clock } from "@mayfly/spec";
import { createFakeClock } from "@mayfly/testkit";
import { LeaseBatcher, type SendLeases } from "./lease-batcher.ts";
import type { LeaseHandle } from "./lease-mark.ts";
import { PgFailure, SQLSTATE } from "./pg-failure.ts";

const LIMITS = { batchFirst: 64, batchMax: 256, queueMax: 1_000, slots: 1 };
/** Where no test lets time pass, every message is quick. */
const still = createFakeClock();
const batcherOf = (send: SendLeases<"done">, limits = LIMITS, clock: Clock = still) =>
  new LeaseBatcher<"done">(send, limits, clock);
const leaseOf = (oid: number): LeaseHandle => ({ name: `r${oid}`, oid, owner: null });
const never = (): AbortSignal => new AbortController().signal;
const allDone = (leases: readonly LeaseHandle[]): ReadonlyMap<number, "done"> =>
  new Map(leases.map(({ oid }) => [oid, "done"]));
const stateOf = async (work: Promise<"done" | null>): Promise<string> =>
  work.then(
    (result) => result ?? "alone",
    (error: unknown) => (error instanceof PgFailure ? error.kind : "other"),
  );

const ALL_AT_ONCE = { ...LIMITS, batchFirst: 256 };

test("one is sent at once; what comes meanwhile goes together as the next batch", async () => {
  const clock = createFakeClock();
  const sizes: number[] = [];
  const send: SendLeases<"done"> = async (take) => {
    const leases = take();
    sizes.push(leases.length);
    await clock.sleep(10);
    return allDone(leases);
  };
  const batcher = batcherOf(send, LIMITS, clock);
  const all = Array.from({ length: 100 }, (_, n) => batcher.run(leaseOf(n + 1), never()));
  await clock.advance(50);
  expect(new Set(await Promise.all(all))).toEqual(new Set(["done"]));
  expect(sizes).toEqual([1, 64, 35]);
});

test("quick messages grow, up to the most that one takes; one that takes long is followed by a small one", async () => {
  const clock = createFakeClock();
  const sizes: number[] = [];
  let eachMs = 0.1;
  const batcher = batcherOf(
    async (take) => {
      const leases = take();
      sizes.push(leases.length);
      await clock.sleep(leases.length * eachMs);
      return allDone(leases);
    },
    { ...LIMITS, queueMax: 4_000 },
    clock,
  );
  const runAll = async (count: number): Promise<void> => {
    const all = Array.from({ length: count }, (_, n) => batcher.run(leaseOf(n + 1), never()));
    await clock.advance(60_000);
    expect(new Set(await Promise.all(all))).toEqual(new Set(["done"]));
  };
  await runAll(1 + 64 + 128 + 256 + 256);
  expect(sizes.splice(0)).toEqual([1, 64, 128, 256, 256]);
  // As on a server that looks at thousands of roles for each that is dropped.
  eachMs = 12;
  await runAll(1 + 256 + 128 + 64 + 64);
  expect(sizes).toEqual([1, 256, 128, 64, 64]);
});

test("whoever the answer says nothing of is dealt with alone, the others are done", async () => {
  const batcher = batcherOf(
    async (take) => allDone(take().filter(({ oid }) => oid % 2 === 0)),
    LIMITS,
  );
  const states = await Promise.all(
    [1, 2, 3, 4].map((n) => stateOf(batcher.run(leaseOf(n), never()))),
  );
  expect(states).toEqual(["alone", "done", "alone", "done"]);
});

test("of a refused batch only one that is guilty goes alone, wherever in it that is", () =>
  fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 257 }), fc.nat(), async (count, at) => {
      const guilty = (at % count) + 1;
      let sends = 0;
      const batcher = batcherOf(async (take) => {
        const leases = take();
        sends += 1;
        if (leases.some(({ oid }) => oid === guilty)) {
          throw new PgFailure("refused", "a lock", SQLSTATE.lockTimeout);
        }
        return allDone(leases);
      }, ALL_AT_ONCE);
      const states = await Promise.all(
        Array.from({ length: count }, (_, n) => stateOf(batcher.run(leaseOf(n + 1), never()))),
      );
      expect(states).toEqual(states.map((_, n) => (n + 1 === guilty ? "alone" : "done")));
      expect(sends).toBeLessThanOrEqual(19);
    }),
    { numRuns: 100 },
  ));

test("where many are guilty, halving stops after so many messages, and the rest goes alone", async () => {
  let sends = 0;
  const batcher = batcherOf(async (take) => {
    take();
    sends += 1;
    throw new PgFailure("refused", "tuple concurrently updated", SQLSTATE.internal);
  }, LIMITS);
  const first = stateOf(batcher.run(leaseOf(1), never()));
  const states = await Promise.all(
    Array.from({ length: 64 }, (_, n) => stateOf(batcher.run(leaseOf(n + 2), never()))),
  );
  expect(new Set([await first, ...states])).toEqual(new Set(["alone"]));
  expect(sends).toBe(1 + 20);
});

test("a batch whose answer was lost is not sent again: each goes alone", async () => {
  const seen: number[] = [];
  const batcher = batcherOf(async (take) => {
    seen.push(...take().map(({ oid }) => oid));
    throw new PgFailure("lost", "connection cut");
  }, LIMITS);
  const states = await Promise.all([1, 2, 3].map((n) => stateOf(batcher.run(leaseOf(n), never()))));
  expect(states).toEqual(["alone", "alone", "alone"]);
  expect(seen.toSorted((a, b) => a - b)).toEqual([1, 2, 3]);
});

test("without a connection each is told that nothing was sent", async () => {
  const batcher = batcherOf(() => {
    throw new PgFailure("not_sent", "connection refused");
  }, LIMITS);
  const states = await Promise.all([1, 2].map((n) => stateOf(batcher.run(leaseOf(n), never()))));
  expect(states).toEqual(["not_sent", "not_sent"]);
});

test("a hard batch holds one slot, and others go on in the next", async () => {
  const clock = createFakeClock();
  const batcher = batcherOf(
    async (take) => {
      const leases = take();
      if (leases.some(({ oid }) => oid === 1)) await clock.sleep(60_000);
      return allDone(leases);
    },
    { ...LIMITS, slots: 2 },
  );
  const hard = stateOf(batcher.run(leaseOf(1), never()));
  expect(await stateOf(batcher.run(leaseOf(2), never()))).toBe("done");
  await clock.advance(60_000);
  expect(await hard).toBe("done");
});

test("aborted before it is sent means nothing was sent, after it that nobody knows", async () => {
  const clock = createFakeClock();
  const sent: number[] = [];
  const batcher = batcherOf(async (take) => {
    const leases = take();
    sent.push(...leases.map(({ oid }) => oid));
    await clock.sleep(1_000);
    return allDone(leases);
  }, LIMITS);
  const [underWay, waiting] = [new AbortController(), new AbortController()];
  const states = [
    stateOf(batcher.run(leaseOf(1), underWay.signal)),
    stateOf(batcher.run(leaseOf(2), waiting.signal)),
    stateOf(batcher.run(leaseOf(3), AbortSignal.abort())),
  ];
  await clock.settle();
  underWay.abort();
  waiting.abort();
  expect(await Promise.all(states)).toEqual(["lost", "not_sent", "not_sent"]);
  await clock.advance(5_000);
  expect(sent).toEqual([1]);
});

test("one that aborted while its refused batch is halved had no effect, and is not sent again", async () => {
  const clock = createFakeClock();
  const sent: number[][] = [];
  const batcher = batcherOf(async (take) => {
    const leases = take();
    sent.push(leases.map(({ oid }) => oid));
    await clock.sleep(1_000);
    if (leases.length > 1) throw new PgFailure("refused", "a deadlock", SQLSTATE.deadlock);
    return allDone(leases);
  }, LIMITS);
  const leaving = new AbortController();
  const first = stateOf(batcher.run(leaseOf(1), never()));
  const second = stateOf(batcher.run(leaseOf(2), never()));
  const third = stateOf(batcher.run(leaseOf(3), leaving.signal));
  await clock.advance(2_000);
  leaving.abort();
  expect(await third).toBe("not_sent");
  await clock.advance(5_000);
  expect(await Promise.all([first, second])).toEqual(["done", "done"]);
  expect(sent).toEqual([[1], [2, 3], [2]]);
});

test("the queue is bounded", async () => {
  const batcher = batcherOf(() => new Promise(() => undefined), {
    ...LIMITS,
    queueMax: 2,
  });
  const states = [1, 2, 3, 4].map((n) => stateOf(batcher.run(leaseOf(n), never())));
  expect(await states[3]).toBe("not_sent");
});
