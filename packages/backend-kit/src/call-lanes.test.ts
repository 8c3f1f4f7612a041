import { createFakeClock, createRecordingLog, createTestBudget } from "@mayfly/testkit";
import { expect, test } from "vitest";
import { CallLanes, type Lane } from "./call-lanes.ts";
import { HeldBack } from "./held-back.ts";
import type { LimitSettings } from "./limit-settings.ts";
import { SharedTokens, rateOf } from "./shared-tokens.ts";

const NEVER = new AbortController().signal;

const NOBODY = { drew: () => undefined, paused: () => undefined };

function setUp(limits: LimitSettings) {
  const clock = createFakeClock();
  const rate = rateOf(limits);
  const host = { clock, log: createRecordingLog(), budget: createTestBudget(clock) };
  const tokens = rate === null ? null : new SharedTokens(host, rate, NOBODY);
  const lanes = new CallLanes(limits, tokens);
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const begin = (lane: Lane, name: string, signal = NEVER): Promise<string> =>
    lanes.enter(lane, signal).then(
      (end) => {
        begun.push(name);
        ends.push(end);
        return name;
      },
      (error: unknown) => (error instanceof HeldBack ? error.reason : "another error"),
    );
  const enqueue = (lane: Lane, name: string): void => {
    begin(lane, name).catch(() => undefined);
  };
  return { clock, lanes, begun, ends, begin, enqueue, settle: () => clock.advance(0) };
}

test("issuing never has the last place, so that an end begins at once", async () => {
  const { begun, enqueue, settle } = setUp({ concurrency: 3 });
  for (const name of ["mint 1", "mint 2", "mint 3"]) enqueue("issue", name);
  await settle();
  expect(begun).toEqual(["mint 1", "mint 2"]);
  enqueue("end", "end 1");
  await settle();
  expect(begun).toEqual(["mint 1", "mint 2", "end 1"]);
});

test("of those that wait the ends go first, each lane in its order", async () => {
  const { begun, ends, enqueue, settle } = setUp({ concurrency: 1 });
  for (const name of ["mint 1", "mint 2"]) enqueue("issue", name);
  for (const name of ["end 1", "end 2"]) enqueue("end", name);
  for (let calls = 0; calls < 4; calls++) {
    await settle();
    ends[calls]?.();
  }
  await settle();
  expect(begun).toEqual(["mint 1", "end 1", "end 2", "mint 2"]);
});

test("a probe goes before the revokes that wait, so that ends are done one after another", async () => {
  const { clock, begun, begin, enqueue, settle } = setUp({ per_second: 1, burst: 1 });
  const end = async (name: string): Promise<void> => {
    await begin("end", `revoke ${name}`);
    await begin("probe", `probe ${name}`);
  };
  enqueue("issue", "mint");
  await settle();
  for (const name of ["1", "2", "3"]) end(name).catch(() => undefined);
  for (let seconds = 0; seconds < 4; seconds++) await clock.advance(1_000);
  expect(begun).toEqual(["mint", "revoke 1", "probe 1", "revoke 2", "probe 2"]);
});

test("calls begin at their rate after the burst, and the ends' come first", async () => {
  const { clock, begun, enqueue, settle } = setUp({ per_second: 2, burst: 1 });
  for (const name of ["mint 1", "mint 2", "mint 3"]) enqueue("issue", name);
  await settle();
  enqueue("end", "end 1");
  await settle();
  expect(begun).toEqual(["mint 1"]);
  await clock.advance(499);
  expect(begun).toEqual(["mint 1"]);
  await clock.advance(1);
  expect(begun).toEqual(["mint 1", "end 1"]);
  await clock.advance(1_000);
  expect(begun).toEqual(["mint 1", "end 1", "mint 2", "mint 3"]);
});

test("whoever waits past its time does not begin, and takes nobody's place", async () => {
  const { begun, ends, begin, enqueue, settle } = setUp({ concurrency: 1 });
  enqueue("end", "end 1");
  const caller = new AbortController();
  const late = begin("end", "late", caller.signal);
  const next = begin("end", "end 2");
  caller.abort();
  expect(await late).toBe("deadline");
  ends[0]?.();
  expect(await next).toBe("end 2");
  await settle();
  expect(begun).toEqual(["end 1", "end 2"]);
});

test("more than can wait are turned away, and all who wait when it is closed", async () => {
  const { lanes, begin, enqueue } = setUp({ concurrency: 1 });
  enqueue("issue", "mint");
  const waiting = Array.from({ length: 1_000 }, (_, nth) => begin("issue", `waits ${nth}`));
  expect(await begin("issue", "too many")).toBe("queue_full");
  const end = begin("end", "another lane");
  lanes.close();
  expect(new Set(await Promise.all([...waiting, end]))).toEqual(new Set(["closed"]));
  expect(await begin("end", "after it")).toBe("closed");
});
