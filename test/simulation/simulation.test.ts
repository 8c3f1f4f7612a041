import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createDraw } from "./draw.ts";
import { NO_FAULTS, drawRates, type FaultRates } from "./faults.ts";
import { expectedPairs } from "./places.ts";
import { readRun } from "./strikes-page.ts";
import { TINY, runHistory, type History } from "./run-history.ts";
import { runMany } from "./run-many.ts";
import { shrink } from "./shrink.ts";

/** Of each run of the suite; the seed is new each time and printed when it fails. */
const LIFECYCLES = 20_000;
const LONG_MS = 900_000;
/** How often the largest run is to hit each pair, and how many it may have hit less often. */
const STRUCK_MIN = 10;
const SELDOM_MAX = 0;

interface Regression {
  readonly seed: string;
  readonly agents: number;
  readonly rates: FaultRates;
  readonly found: string;
}
const regressions: readonly Regression[] = JSON.parse(
  readFileSync(join(import.meta.dirname, "regressions.json"), "utf8"),
) as readonly Regression[];

const told = ({ seed, agents, rates, violations }: History): string =>
  JSON.stringify({ seed, agents, rates, violations }, null, 1);

describe("the simulator", () => {
  test("finds nothing wrong with Mayfly", { timeout: LONG_MS }, async () => {
    const seed = new Date().toISOString();
    const { lifecycles, failed } = await runMany(seed, LIFECYCLES);
    if (failed !== null) expect.fail(`seed ${seed}\n${told(await shrink(failed))}`);
    expect(lifecycles).toBeGreaterThanOrEqual(LIFECYCLES);
  });

  test("repeats a history exactly from its seed", async () => {
    const [first, second] = [
      await runHistory({ seed: "again" }),
      await runHistory({ seed: "again" }),
    ];
    expect(first.lifecycles).toBeGreaterThan(0);
    expect(second.digest()).toBe(first.digest());
    expect((await runHistory({ seed: "another" })).digest()).not.toBe(first.digest());
  });

  test("has quiet histories too, in which every credential is handed out and ended", async () => {
    const history = await runHistory({ seed: "quiet", rates: NO_FAULTS, agents: 3 });
    expect(history.violations).toEqual([]);
    const faults = history.strikes
      .entries()
      .filter(([pair]) => !pair.endsWith("a batch of several"));
    expect(faults).toEqual([]);
    expect(history.lifecycles).toBeGreaterThan(3);
  });

  test("names every pair of an await and a fault in its largest run", () => {
    const told = readRun();
    const pairs = expectedPairs().map(([place, fault]) => `${place} × ${fault}`);
    expect([...told.keys()].toSorted()).toEqual([...new Set(pairs)].toSorted());
    const seldom = pairs.filter((pair) => (told.get(pair) ?? 0) < STRUCK_MIN);
    expect(seldom.length, seldom.join("\n")).toBeLessThanOrEqual(SELDOM_MAX);
  });

  test("rests no sooner than the ends by selector that were asked for late", async () => {
    const seed = "2026-11-29T16:05:43.166Z/4071";
    const rates = { ...drawRates(createDraw(seed).fork("rates")), outage: 0, change: 0 };
    const { installation, violations } = await runHistory({ seed, rates, scale: TINY });
    expect(violations).toEqual([]);
    const { items } = await installation.ledger.selectorEnds.list({ limit: 10, after: null });
    expect(items.map(({ result }) => result)).toEqual(["none_left"]);
  });

  test("finds nothing any more where it once did", async () => {
    for (const { seed, agents, rates, found } of regressions) {
      const { violations } = await runHistory({ seed, agents, rates });
      expect(violations, found).toEqual([]);
    }
  });
});
