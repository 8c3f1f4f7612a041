import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seededRandom } from "@mayfly/testkit";
import {
  BURST_MAX,
  BURST_MIN,
  createExchangeLimit,
  EXCHANGES_MAX,
  EXCHANGES_MIN,
  WAIT_MS_MAX,
} from "./exchange-limit.ts";

/**
 * A server that does `lanes` at once, each in `serviceMs`; what else was let in waits. With
 * `eachMs` a lane does what waits as one batch, of {@link BATCH_MAX} at most, and each of it takes
 * as much longer: as the ledger and the mints do.
 */
interface Served {
  readonly lanes: number;
  readonly serviceMs: number;
  readonly eachMs?: number;
}
const BATCH_MAX = 64;
interface Seen {
  readonly latencies: readonly number[];
  readonly refused: number;
  readonly underWayMost: number;
}

/** The limit over such a server, in steps of a millisecond of its own clock. */
function simulate(seed: string) {
  const random = seededRandom(seed);
  let nowMs = 0;
  const limit = createExchangeLimit({ monotonicMs: () => nowMs });
  const queue: { readonly cameMs: number; readonly end: () => void }[] = [];
  const lanes: { freeMs: number; readonly batch: typeof queue }[] = [];
  let pausedUntilMs = 0;
  const chance = (): number => random.bytes(4).reduce((sum, byte) => sum * 256 + byte, 0) / 2 ** 32;

  const step = (served: Served, ended: (latencyMs: number) => void): void => {
    nowMs += 1;
    if (nowMs < pausedUntilMs) return;
    for (const lane of lanes.filter(({ freeMs }) => freeMs <= nowMs)) {
      lanes.splice(lanes.indexOf(lane), 1);
      for (const { cameMs, end } of lane.batch) {
        end();
        ended(nowMs - cameMs);
      }
    }
    while (lanes.length < served.lanes && queue.length > 0) {
      const batch = queue.splice(0, served.eachMs === undefined ? 1 : BATCH_MAX);
      const takes = served.serviceMs + (served.eachMs ?? 0) * batch.length;
      lanes.push({ batch, freeMs: nowMs + takes * (0.5 + chance()) });
    }
  };
  const underWay = (): number => lanes.reduce((sum, { batch }) => sum + batch.length, queue.length);
  const arrive = (): boolean => {
    if (limit.refuses()) return false;
    queue.push({ cameMs: nowMs, end: limit.begin() });
    return true;
  };
  /** Nothing gets on for so long, as when the ledger's disk is busy; who comes, comes. */
  const pause = (ms: number): void => {
    pausedUntilMs = nowMs + ms;
    for (const lane of lanes) lane.freeMs += ms;
  };
  /**
   * Arrivals that heed nothing, `rate` of them in a second, independent of each other. For the
   * first `heldMs` of each second they are held up on their way, and then come all at once.
   */
  const open = (served: Served, rate: number, seconds: number, heldMs = 0): Seen => {
    const seen = { latencies: [] as number[], refused: 0, underWayMost: 0 };
    const fromMs = nowMs;
    let held = 0;
    for (const until = nowMs + seconds * 1000; nowMs < until;) {
      step(served, (latencyMs) => seen.latencies.push(latencyMs));
      held += poisson(rate / 1000, chance);
      if ((nowMs - fromMs) % 1000 < heldMs) continue;
      for (; held > 0; held--) if (!arrive()) seen.refused++;
      seen.underWayMost = Math.max(seen.underWayMost, underWay());
    }
    return seen;
  };
  /** So many clients, each of which sends again as soon as it was answered. */
  const closed = (served: Served, clients: number, seconds: number): Seen => {
    const seen = { latencies: [] as number[], refused: 0, underWayMost: 0 };
    for (const until = nowMs + seconds * 1000; nowMs < until;) {
      step(served, (latencyMs) => seen.latencies.push(latencyMs));
      while (underWay() < clients && arrive());
      if (underWay() < clients) seen.refused++;
      seen.underWayMost = Math.max(seen.underWayMost, underWay());
    }
    return seen;
  };
  return { open, closed, pause, limit };
}

/** How many of what happens `mean` times on average happen this time. */
function poisson(mean: number, chance: () => number): number {
  const least = Math.exp(-mean);
  let count = 0;
  for (let left = chance(); left > least; left *= chance()) count++;
  return count;
}

const p99 = ({ latencies }: Seen): number =>
  latencies.toSorted((a, b) => a - b)[Math.floor(latencies.length * 0.99)] ?? Number.NaN;
const arbitraryServed = fc.record({
  lanes: fc.integer({ min: 2, max: 16 }),
  serviceMs: fc.integer({ min: 5, max: 40 }),
});
const rateOf = ({ lanes, serviceMs, eachMs }: Served): number =>
  eachMs === undefined
    ? (lanes * 1000) / serviceMs
    : (lanes * 1000 * BATCH_MAX) / (serviceMs + eachMs * BATCH_MAX);
/** As the broker is on two cores: 8 ms for one alone, some 1,100 in a second for many. */
const BATCHES: Served = { lanes: 1, serviceMs: 7, eachMs: 0.8 };
const SEEDS = Array.from({ length: 8 }, (_, n) => `seed ${n}`);

describe("the limit of exchanges under way", () => {
  it("refuses nobody below the rate that is served, nor 64 clients that wait for their answers", () => {
    fc.assert(
      fc.property(arbitraryServed, fc.string(), (served, seed) => {
        const { open, closed } = simulate(seed);
        expect(open(served, rateOf(served) * 0.7, 5).refused).toBe(0);
        expect(closed(served, 64, 5).refused).toBe(0);
      }),
      { numRuns: 15, seed: 5 },
    );
  });
  it("keeps the latency of what it takes near the usual, at ten times the rate, and the rate", () => {
    fc.assert(
      fc.property(arbitraryServed, fc.string(), (served, seed) => {
        const { open } = simulate(seed);
        const usual = open(served, rateOf(served) * 0.7, 10);
        const flood = open(served, rateOf(served) * 10, 30);
        expect(flood.underWayMost).toBeLessThanOrEqual(EXCHANGES_MAX);
        // What fits in the limit's least is taken, however late that makes it.
        const least = (EXCHANGES_MIN / rateOf(served)) * 1000;
        const settled = { ...flood, latencies: flood.latencies.slice(2 * EXCHANGES_MAX) };
        expect(p99(settled)).toBeLessThanOrEqual(Math.max(3 * p99(usual), 3 * least));
        expect(flood.latencies.length / 30).toBeGreaterThan(rateOf(served) * 0.6);
      }),
      { numRuns: 15, seed: 5 },
    );
  });
  it("lets a pause of 0.4 s wait, at seven tenths of what is served, and refuses nobody after it", () => {
    const arbitrary = fc.record({
      served: arbitraryServed,
      pauseMs: fc.integer({ min: 50, max: 400 }),
    });
    fc.assert(
      fc.property(arbitrary, fc.string(), ({ served, pauseMs }, seed) => {
        const rate = rateOf(served) * 0.7;
        // More than a burst comes in such a pause: then some are refused, as they must be.
        fc.pre((rate * pauseMs) / 1000 < EXCHANGES_MAX * 0.7 && rate * 0.2 < BURST_MIN);
        const { open, pause } = simulate(seed);
        open(served, rate, 2);
        for (let n = 0; n < 3; n++) {
          pause(pauseMs);
          expect(open(served, rate, 3).refused).toBe(0);
        }
      }),
      { numRuns: 15, seed: 5 },
    );
  });
  it("does not take for overload what a pause refused that was too long", () => {
    const served = { lanes: 32, serviceMs: 40 };
    const { open, pause } = simulate("pause");
    open(served, 560, 2);
    pause(700);
    const { refused } = open(served, 560, 5);
    expect(refused).toBeGreaterThan(0);
    // No more than what found no place while nobody was answered, and a little.
    expect(refused).toBeLessThan(560 * 0.7 - EXCHANGES_MAX + 150);
  });
  it("lets no more wait than are worked off in time, at the pace that it has seen", () => {
    const served = { lanes: 16, serviceMs: 40 };
    const { open, closed, limit } = simulate("pace");
    closed(served, 64, 5);
    expect(limit.limit()).toBeGreaterThan(BURST_MIN);
    expect(limit.limit()).toBeLessThan(((rateOf(served) * WAIT_MS_MAX) / 1000) * 1.2);
    expect(open(served, rateOf(served) * 10, 10).underWayMost).toBeLessThan(BURST_MAX);
  });
  it("learns of a server that became slow: fewer than before are let wait, and then refused", () => {
    const { open, closed, limit } = simulate("late");
    open({ lanes: 32, serviceMs: 20 }, 500, 5);
    expect(limit.limit()).toBe(BURST_MAX);
    const slow = closed({ lanes: 3, serviceMs: 30 }, 200, 6);
    expect(slow.refused).toBeGreaterThan(0);
    expect(limit.limit()).toBeLessThan(BURST_MIN);
  });
  it("forgets a slow pace that no queue has confirmed for a minute", () => {
    const { open, closed, limit } = simulate("forgotten");
    closed({ lanes: 3, serviceMs: 30 }, 64, 5);
    expect(limit.limit()).toBe(BURST_MIN);
    const well = { lanes: 32, serviceMs: 20 };
    open(well, 200, 50);
    expect(limit.limit()).toBe(BURST_MIN);
    open(well, 200, 15);
    expect(limit.limit()).toBe(BURST_MAX);
  });
  it("rises by a share of itself in each window without lateness", () => {
    const { open, closed, limit } = simulate("recover");
    open({ lanes: 32, serviceMs: 20 }, 500, 5);
    open({ lanes: 2, serviceMs: 40 }, 500, 10);
    const low = limit.limit();
    expect(low).toBeLessThan(EXCHANGES_MAX / 8);
    // The server is as quick as before, under clients that go on being refused.
    closed({ lanes: 32, serviceMs: 10 }, EXCHANGES_MAX, 2);
    expect(limit.limit()).toBeGreaterThan(low * 2);
  });
  it.each(SEEDS)(
    "refuses none of seven tenths that come by chance, after one at a time: %s",
    (seed) => {
      const { open, closed } = simulate(seed);
      closed(BATCHES, 1, 20);
      expect(open(BATCHES, rateOf(BATCHES) * 0.7, 60).refused).toBe(0);
    },
  );
  it.each(SEEDS)(
    "lets wait what was held up for 150 ms in each second, at seven tenths: %s",
    (seed) => {
      const { open } = simulate(seed);
      expect(open(BATCHES, rateOf(BATCHES) * 0.7, 60, 150).refused).toBe(0);
    },
  );
  it.each(SEEDS)("refuses of a lump what finds no place, once, and nobody after it: %s", (seed) => {
    const { open, closed } = simulate(seed);
    const rate = rateOf(BATCHES) * 0.7;
    closed(BATCHES, 1, 10);
    open(BATCHES, rate, 5);
    const lump = open(BATCHES, rate, 1, 600);
    expect(lump.refused).toBeGreaterThan(0);
    expect(lump.refused).toBeLessThan(rate * 0.6 * 1.3 - BURST_MAX + 100);
    expect(open(BATCHES, rate, 20).refused).toBe(0);
  });
  it.each(SEEDS)(
    "refuses what half the capacity cannot serve, and none a second later: %s",
    (seed) => {
      const { open } = simulate(seed);
      const rate = rateOf(BATCHES) * 0.7;
      const half = { lanes: 1, serviceMs: 14, eachMs: 1.6 };
      open(BATCHES, rate, 10);
      const halved = open(half, rate, 10);
      const excess = (rate - rateOf(half)) * 10;
      expect(halved.refused).toBeGreaterThan(excess / 2);
      expect(halved.refused).toBeLessThan(excess * 2);
      open(BATCHES, rate, 1);
      expect(open(BATCHES, rate, 20).refused).toBe(0);
    },
  );
  it.each(SEEDS)(
    "keeps what ten times as many leave it to three times the usual p99: %s",
    (seed) => {
      const { open, closed } = simulate(seed);
      const rate = rateOf(BATCHES);
      closed(BATCHES, 64, 5);
      const usual = open(BATCHES, rate * 0.7, 20);
      const flood = open(BATCHES, rate * 10, 30);
      expect(p99(flood)).toBeLessThan(3 * p99(usual));
      expect(flood.latencies.length / 30).toBeGreaterThan(rate * 0.6);
      open(BATCHES, rate * 0.7, 2);
      expect(open(BATCHES, rate * 0.7, 20).refused).toBe(0);
    },
  );
  it("is as it was half a second after the last refusal", () => {
    const served = { lanes: 8, serviceMs: 10 };
    const { open, closed, limit } = simulate("over");
    open(served, 500, 5);
    open(served, 8000, 5);
    expect(limit.limit()).toBeLessThan(BURST_MAX / 2);
    open(served, 100, 1);
    expect(limit.limit()).toBe(BURST_MAX);
    expect(closed(served, 64, 2).refused).toBe(0);
  });
  it("never refuses where fewer than its least are under way", () => {
    let nowMs = 0;
    const limit = createExchangeLimit({ monotonicMs: () => nowMs });
    const ends: (() => void)[] = [];
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 300 }), (moves) => {
        for (const move of moves) {
          nowMs += move * 40;
          if (move === 0) ends.shift()?.();
          else if (!limit.refuses()) ends.push(limit.begin());
          else expect(ends.length).toBeGreaterThanOrEqual(EXCHANGES_MIN);
          expect(ends.length).toBeLessThanOrEqual(EXCHANGES_MAX);
        }
      }),
    );
  });
  it("takes a backend that became slow, but bears as many, as it is", () => {
    const { open, limit } = simulate("slow");
    open({ lanes: 16, serviceMs: 5 }, 1000, 10);
    const slow = { lanes: 64, serviceMs: 200 };
    open(slow, 3000, 240);
    expect(limit.limit()).toBeGreaterThan(32);
  });
});
