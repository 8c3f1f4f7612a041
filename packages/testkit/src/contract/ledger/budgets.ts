import { describe, expect, test } from "vitest";
import {
  BUDGET_WAIT_SECONDS_MAX,
  END_PAUSE_SECONDS_MAX,
  PAUSE_SECONDS_MAX,
  durationSeconds,
  parseBackendId,
  type BackendBudget,
  type BudgetAnswer,
  type BudgetRate,
  type BudgetUse,
} from "@mayfly/spec";
import { unique } from "./fixtures.ts";
import type { LedgerUnderTest } from "./subject.ts";

/** So slow that nothing comes while a test runs, however busy the machine is. */
const STILL: BudgetRate = { perSecond: 0.0001, burst: 10, keptForEnds: 2 };

export function describeBudgets(ledgerOf: () => LedgerUnderTest): void {
  describe("budgets of backends", () => {
    const bench = () => {
      const ledger = ledgerOf();
      const budget = ledger.backendBudgets.of(parseBackendId(unique("backend"), "backend"));
      return { ledger, budget };
    };
    describeDrawing(bench);
    describePromises(bench);
    describePauses(bench);
  });
}

type Bench = () => { readonly ledger: LedgerUnderTest; readonly budget: BackendBudget };

const draw = (
  budget: BackendBudget,
  use: BudgetUse,
  tokens: number,
  rate = STILL,
): Promise<BudgetAnswer> => budget.draw({ use, tokens, rate });

const drawnOf = (answer: BudgetAnswer): number => (answer.kind === "drawn" ? answer.tokens : 0);

function describeDrawing(bench: Bench): void {
  test("Q1, Q2. a burst is there at first, of which mints leave the ends' share", async () => {
    const { budget } = bench();
    expect(await draw(budget, "mints", 5)).toEqual({ kind: "drawn", tokens: 5, inSeconds: 0 });
    expect(await draw(budget, "mints", 5)).toEqual({ kind: "drawn", tokens: 3, inSeconds: 0 });
    expect((await draw(budget, "mints", 1)).kind).toBe("empty");
    expect(await draw(budget, "ends", 2)).toEqual({ kind: "drawn", tokens: 2, inSeconds: 0 });
  });

  test("Q1. of many who draw at once nobody gets what another has", async () => {
    const { budget } = bench();
    const asked = Array.from({ length: 30 }, () => draw(budget, "mints", 1));
    const answers = await Promise.all(asked);
    expect(answers.filter(({ kind }) => kind === "drawn")).toHaveLength(8);
    expect(new Set(answers.map(({ kind }) => kind))).toEqual(new Set(["drawn", "empty"]));
  });

  test("Q1. it fills by its rate, as the ledger's clock goes, and never above the burst", async () => {
    const { ledger, budget } = bench();
    const rate = { perSecond: 1_000, burst: 10, keptForEnds: 0 };
    expect(drawnOf(await draw(budget, "mints", 10, rate))).toBe(10);
    await ledger.pass(30);
    expect(drawnOf(await draw(budget, "mints", 10, rate))).toBe(10);
    await ledger.pass(30);
    // What is there is looked at by a rate at which nothing more comes.
    const still = { ...rate, perSecond: STILL.perSecond };
    await draw(budget, "mints", 1, rate);
    expect(drawnOf(await draw(budget, "mints", 10, still))).toBe(9);
  });

  test("Q1. a mint that got none is told when there may be one", async () => {
    const { budget } = bench();
    const rate = { perSecond: 0.01, burst: 2, keptForEnds: 1 };
    expect(drawnOf(await draw(budget, "mints", 1, rate))).toBe(1);
    const answer = await draw(budget, "mints", 1, rate);
    expect(answer.kind).toBe("empty");
    expect(answer.inSeconds).toBeLessThanOrEqual(100);
    expect(answer.inSeconds).toBeGreaterThan(50);
  });

  test("another backend has a budget of its own", async () => {
    const [first, second] = [bench(), bench()];
    expect(drawnOf(await draw(first.budget, "ends", 10))).toBe(10);
    expect(drawnOf(await draw(second.budget, "ends", 10))).toBe(10);
  });

  test("a smaller burst of a later configuration counts at once", async () => {
    const { budget } = bench();
    await draw(budget, "mints", 1);
    const smaller = { ...STILL, burst: 3, keptForEnds: 0 };
    expect(drawnOf(await draw(budget, "mints", 9, smaller))).toBe(3);
  });
}

function describePromises(bench: Bench): void {
  test("Q2, Q3. ends are promised what comes, in their turn, and mints wait behind them", async () => {
    const { budget } = bench();
    const rate = { perSecond: 1, burst: 1, keptForEnds: 0 };
    await draw(budget, "ends", 1, rate);
    const waits: number[] = [];
    for (let asked = 0; asked < 1_000; asked++) {
      const answer = await draw(budget, "ends", 1, rate);
      if (answer.kind !== "drawn") break;
      waits.push(answer.inSeconds);
    }
    expect(waits.length).toBeGreaterThanOrEqual(BUDGET_WAIT_SECONDS_MAX);
    expect(Math.max(...waits)).toBeLessThanOrEqual(BUDGET_WAIT_SECONDS_MAX);
    const mint = await draw(budget, "mints", 1, rate);
    expect(mint.kind).toBe("empty");
  });

  test("Q3. what would be promised for too late is not promised", async () => {
    const { budget } = bench();
    await draw(budget, "ends", 10);
    const answer = await draw(budget, "ends", 1);
    expect(answer.kind).toBe("empty");
    expect(answer.inSeconds).toBeGreaterThan(0);
    // Nothing was taken by asking.
    expect((await draw(budget, "ends", 1)).inSeconds).toBeLessThanOrEqual(answer.inSeconds);
  });

  test("Q3. what was promised at a higher rate holds up nobody for longer at a lower one", async () => {
    const { ledger, budget } = bench();
    const high = { perSecond: 1_000, burst: 1_000, keptForEnds: 0 };
    for (let promised = 0; promised < 8; promised++) await draw(budget, "ends", 1_000, high);
    const low = { perSecond: 2, burst: 2, keptForEnds: 1 };
    const mint = await draw(budget, "mints", 1, low);
    expect(mint.inSeconds).toBeLessThanOrEqual(BUDGET_WAIT_SECONDS_MAX + 2 / low.perSecond);
    const end = await draw(budget, "ends", 1, low);
    expect(end.inSeconds).toBeLessThanOrEqual(BUDGET_WAIT_SECONDS_MAX);
    await ledger.pass(1_000 / low.perSecond + 50);
    expect(drawnOf(await draw(budget, "ends", 1, low))).toBe(1);
  });
}

function describePauses(bench: Bench): void {
  test("Q4. a pause holds for all: mints get none, and ends what comes after it", async () => {
    const { budget } = bench();
    await budget.pause(durationSeconds(60));
    const ends = await draw(budget, "ends", 1, { ...STILL, perSecond: 1_000 });
    expect(drawnOf(ends)).toBe(1);
    expect(ends.inSeconds).toBeLessThanOrEqual(END_PAUSE_SECONDS_MAX);
    const mint = await draw(budget, "mints", 1);
    expect(mint.kind).toBe("paused");
    expect(mint.inSeconds).toBeLessThanOrEqual(60);
    expect(mint.inSeconds).toBeGreaterThan(END_PAUSE_SECONDS_MAX);
  });

  test("Q4. who asks for none is told of a pause, and takes nothing", async () => {
    const { budget } = bench();
    expect(await draw(budget, "mints", 0)).toEqual({ kind: "empty", inSeconds: 0 });
    expect(drawnOf(await draw(budget, "mints", 9))).toBe(8);
    expect((await draw(budget, "mints", 0)).kind).toBe("empty");
    await budget.pause(durationSeconds(60));
    const answer = await draw(budget, "mints", 0);
    expect(answer.kind).toBe("paused");
    expect(answer.inSeconds).toBeGreaterThan(END_PAUSE_SECONDS_MAX);
    expect(drawnOf(await draw(budget, "ends", 2))).toBe(2);
  });

  test("Q4. the longest pause counts, a shorter one after it does not", async () => {
    const { budget } = bench();
    await draw(budget, "mints", 1);
    await budget.pause(durationSeconds(200));
    await budget.pause(durationSeconds(1));
    expect((await draw(budget, "mints", 1)).inSeconds).toBeGreaterThan(100);
  });

  test("Q4. no pause is longer than five minutes", async () => {
    const { budget } = bench();
    await draw(budget, "mints", 1);
    await budget.pause(durationSeconds(3_600));
    const answer = await draw(budget, "mints", 1);
    expect(answer.kind).toBe("paused");
    expect(answer.inSeconds).toBeLessThanOrEqual(PAUSE_SECONDS_MAX);
  });

  test("Q4. after it, it is over", async () => {
    const { ledger, budget } = bench();
    await draw(budget, "mints", 1);
    await budget.pause(durationSeconds(0.2));
    await ledger.pass(250);
    expect((await draw(budget, "mints", 1)).kind).toBe("drawn");
  });
}
