import { expect, test } from "vitest";
import { createFakeClock } from "@mayfly/testkit";
import { createSharedDeadline } from "./shared-deadline.ts";
import { TimedOut } from "./within.ts";

const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => null,
    (error: unknown) => error,
  );

test("a thousand calls that are in time answer as they do, with one sleeper for all", async () => {
  const clock = createFakeClock();
  const deadline = createSharedDeadline(clock, 100);
  const calls = Array.from({ length: 1_000 }, (_, n) =>
    deadline.within("it", async () => {
      if (n % 2 === 1) throw new Error(`no ${n}`);
      return n;
    }),
  );
  expect(clock.sleepers).toBe(1);
  const outcomes = await Promise.allSettled(calls);
  expect(outcomes[8]).toEqual({ status: "fulfilled", value: 8 });
  expect(outcomes[9]).toMatchObject({ status: "rejected", reason: { message: "no 9" } });
  await clock.advance(100);
  expect(clock.sleepers).toBe(0);
});

test("each call ends at its own time, is told so, and its late failure hurts nobody", async () => {
  const clock = createFakeClock();
  const deadline = createSharedDeadline(clock, 100);
  const never = Promise.withResolvers<never>();
  const late: (() => boolean)[] = [];
  const begin = (): Promise<unknown> =>
    failure(
      deadline.within("it", (isLate) => {
        late.push(isLate);
        return never.promise;
      }),
    );
  const first = begin();
  await clock.advance(60);
  const second = begin();
  await clock.advance(39);
  expect(late.map((isLate) => isLate())).toEqual([false, false]);
  await clock.advance(1);
  expect(await first).toBeInstanceOf(TimedOut);
  expect(late.map((isLate) => isLate())).toEqual([true, false]);
  await clock.advance(59);
  expect(late.map((isLate) => isLate())).toEqual([true, false]);
  await clock.advance(1);
  expect(await second).toBeInstanceOf(TimedOut);
  never.reject(new Error("too late"));
  await clock.settle();
  expect(clock.sleepers).toBe(0);
});

test("a call that begins after a quiet while has its whole time", async () => {
  const clock = createFakeClock();
  const deadline = createSharedDeadline(clock, 100);
  await deadline.within("it", async () => "done");
  await clock.advance(90);
  const call = failure(deadline.within("it", () => new Promise(() => undefined)));
  const first = await Promise.race([call, clock.advance(99).then(() => "still under way")]);
  expect(first).toBe("still under way");
  await clock.advance(1);
  expect(await call).toBeInstanceOf(TimedOut);
});

test("when it is closed, no sleeper stays behind", async () => {
  const clock = createFakeClock();
  const deadline = createSharedDeadline(clock, 100);
  await deadline.within("it", async () => "done");
  deadline.close();
  await clock.settle();
  expect(clock.sleepers).toBe(0);
});
