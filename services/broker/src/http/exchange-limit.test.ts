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

/** A server that does `lanes` at once, each in `serviceMs`; what else was let in waits. */
interface Served {
  readonly lanes: number;
  readonly serviceMs: number;
}
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
  const lanes: { freeMs: number; readonly cameMs: number; readonly end: () => void }[] = [];
  let pausedUntilMs = 0;
  const chance = (): number => random.bytes(4).reduce((sum, byte) => sum * 256 + byte, 0) / 2 ** 32;

  const step = (served: Served, ended: (latencyMs: number) => void): void => {
    nowMs += 1;
    if (nowMs < pausedUntilMs) return;
    for (const lane of lanes.filter(({ freeMs }) => freeMs <= nowMs)) {
      lanes.splice(lanes.indexOf(lane), 1);
      lane.end();
      ended(nowMs - lane.cameMs);
    }
    while (lanes.length < served.lanes) {
      const next = queue.shift();
      if (next === undefined) return;
      lanes.push({ ...next, freeMs: nowMs + served.serviceMs * (0.5 + chance()) });
    }
  };
  const underWay = (): number => queue.length + lanes.length;
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
  /** Arrivals that heed nothing, `rate` of them in a second. */
  const open = (served: Served, rate: number, seconds: number): Seen => {
    const seen = { latencies: [] as number[], refused: 0, underWayMost: 0 };
    for (const until = nowMs + seconds * 1000; nowMs < until;) {
      step(served, (latencyMs) => seen.latencies.push(latencyMs));
      for (let due = rate / 1000; due > 0; due--) {
        if (chance() < due && !arrive()) seen.refused++;
      }
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

const p99 = ({ latencies }: Seen): number =>
  latencies.toSorted((a, b) => a - b)[Math.floor(latencies.length * 0.99)] ?? Number.NaN;
const arbitraryServed = fc.record({
  lanes: fc.integer({ min: 2, max: 16 }),
  serviceMs: fc.integer({ min: 5, max: 40 }),
});
const rateOf = ({ lanes, serviceMs }: Served): number => (lanes * 1000) / serviceMs;

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
    const served = { lanes: 20, serviceMs: 40 };
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
