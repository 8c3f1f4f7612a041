import {
  createFakeClock,
  createRecordingLog,
  createTestBudget,
  seededRandom,
} from "@mayfly/testkit";
import type { BackendBudget } from "@mayfly/spec";
import { describe, expect, test } from "vitest";
import { CallLanes, type Lane } from "./call-lanes.ts";
import { SharedTokens, rateOf } from "./shared-tokens.ts";

const NOBODY = { drew: () => undefined, paused: () => undefined };
const NEVER = new AbortController().signal;
const RUN_MS = 6_000;

interface Begun {
  readonly lane: Lane;
  readonly atMs: number;
  readonly waitedMs: number;
}

interface Run {
  readonly rate: NonNullable<ReturnType<typeof rateOf>>;
  /** Of what one draw may hold at most. */
  readonly ahead: number;
  readonly begun: readonly Begun[];
  readonly draws: number;
  readonly largestDraw: number;
}

/** Between `least` and `most`, whole. */
type Draw = (least: number, most: number) => number;

function drawFrom(seed: number): Draw {
  const random = seededRandom(`budget ${seed}`);
  return (least, most) => {
    const [high = 0, low = 0] = random.bytes(2);
    return least + ((high * 256 + low) % (most - least + 1));
  };
}

/** A ledger that takes its time for each answer. */
const behindNetwork = (
  budget: BackendBudget,
  pass: () => Promise<void>,
  asked: (tokens: number) => void,
): BackendBudget => ({
  ...budget,
  draw: async (draw) => {
    asked(draw.tokens);
    await pass();
    const answer = await budget.draw(draw);
    await pass();
    return answer;
  },
});

/** Processes whose mints always wait, and ends that come one after the other to any of them. */
async function run(
  perSecond: number,
  processes: number,
  draw: Draw,
  endsEachSecond: number,
): Promise<Run> {
  const clock = createFakeClock();
  const rate = rateOf({ per_second: perSecond });
  if (rate === null) throw new Error("it has a rate");
  const begun: Begun[] = [];
  let [draws, largestDraw] = [0, 0];
  const pass = (): Promise<void> => clock.sleep(draw(0, 3));
  const budget = behindNetwork(createTestBudget(clock), pass, (tokens) => {
    draws++;
    largestDraw = Math.max(largestDraw, tokens);
  });
  const call = async (lanes: CallLanes, lane: Lane): Promise<void> => {
    const sinceMs = clock.monotonicMs();
    const leave = await lanes.enter(lane, NEVER);
    const atMs = clock.monotonicMs();
    begun.push({ lane, atMs, waitedMs: atMs - sinceMs });
    await clock.sleep(draw(0, 20));
    leave();
  };
  const all = Array.from({ length: processes }, () => {
    const host = { clock, log: createRecordingLog(), budget };
    return new CallLanes({}, new SharedTokens(host, rate, NOBODY));
  });
  const ahead = Math.max(1, Math.floor(perSecond / 10));
  const minting = async (lanes: CallLanes): Promise<void> => {
    for (;;) await call(lanes, "issue");
  };
  const ending = async (): Promise<void> => {
    for (;;) {
      await clock.sleep(1000 / endsEachSecond);
      const lanes = all[draw(0, processes - 1)];
      if (lanes !== undefined) call(lanes, "end").catch(() => undefined);
    }
  };
  for (const lanes of all) {
    for (let mints = 0; mints < ahead + 4; mints++) minting(lanes).catch(() => undefined);
  }
  ending().catch(() => undefined);
  await clock.advance(RUN_MS);
  for (const lanes of all) lanes.close();
  return { rate, ahead, begun, draws, largestDraw };
}

/** The most by which any stretch of time had more calls than the rate gives in it. */
function mostAbove(begun: readonly Begun[], perSecond: number): number {
  let most = 0;
  // The stretch that begins with a call and has the most above it, as the best sum is found.
  let above = 0;
  let lastMs = 0;
  for (const { atMs } of begun) {
    above = Math.max(0, above - ((atMs - lastMs) * perSecond) / 1000) + 1;
    lastMs = atMs;
    most = Math.max(most, above);
  }
  return most;
}

const SEEDS = Array.from({ length: 40 }, (_, seed) => seed);

describe("processes that share a rate, whatever it is and however many they are", () => {
  test.each(SEEDS)("begin no more than it gives, and ends at once: seed %i", async (seed) => {
    const draw = drawFrom(seed);
    const perSecond = draw(0, 1) === 0 ? draw(1, 20) : draw(20, 150);
    const processes = draw(1, 4);
    const { rate, ahead, begun, largestDraw } = await run(
      perSecond,
      processes,
      draw,
      perSecond / 5,
    );
    const held = processes * 2 * ahead;
    expect(mostAbove(begun, perSecond)).toBeLessThanOrEqual(rate.burst + held);
    // Mints that wait lose nothing of it, but for what the ends are kept and what is under way.
    const given = (perSecond * RUN_MS) / 1000;
    expect(begun.length).toBeGreaterThan(given * 0.75 - held);
    // So much is lost with a process that dies.
    expect(largestDraw).toBeLessThanOrEqual(ahead);
    const ends = begun.filter(({ lane }) => lane === "end");
    expect(ends.length).toBeGreaterThan(0);
    // One of each process may be promised before it, and it has been asked for in some ms.
    const waitMsMax = ((processes * ahead + processes + 2) / perSecond) * 1000 + 20;
    expect(Math.max(...ends.map(({ waitedMs }) => waitedMs))).toBeLessThanOrEqual(waitMsMax);
  });

  test("ask some ten times a second, however fast it is, and once for each call of a slow one", async () => {
    const fast = await run(1_000, 1, drawFrom(1), 10);
    expect(fast.begun.length).toBeGreaterThan(4_000);
    // For mints and for ends, each.
    expect(fast.draws).toBeLessThan((RUN_MS / 1000) * 30);
    const slow = await run(2, 1, drawFrom(2), 0.2);
    expect(slow.draws).toBeLessThan(slow.begun.length * 3 + 5);
  });
});

test("what was drawn ahead serves the calls of the next second, and none later", async () => {
  const clock = createFakeClock();
  const rate = rateOf({ per_second: 100 });
  if (rate === null) throw new Error("it has a rate");
  let draws = 0;
  const budget = behindNetwork(
    createTestBudget(clock),
    async () => undefined,
    () => draws++,
  );
  const host = { clock, log: createRecordingLog(), budget };
  const lanes = new CallLanes({}, new SharedTokens(host, rate, NOBODY));
  const mint = async (): Promise<void> => (await lanes.enter("issue", NEVER))();
  await mint();
  await mint();
  // Its own, and one more for the one that had begun in the last tenth of a second.
  expect(draws).toBe(2);
  await clock.advance(900);
  await mint();
  expect(draws).toBe(2);
  await mint();
  await mint();
  expect(draws).toBe(4);
  await clock.advance(1_001);
  await mint();
  expect(draws).toBe(5);
});
