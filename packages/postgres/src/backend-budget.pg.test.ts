import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  END_PAUSE_SECONDS_MAX,
  PAUSE_SECONDS_MAX,
  durationSeconds,
  parseBackendId,
  type BackendBudget,
} from "@mayfly/spec";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";

const RATE = { perSecond: 1_000, burst: 10, keptForEnds: 2 };

describe("a budget whose row is of a clock that was set back", () => {
  let ledger: TestLedger;
  beforeAll(async () => {
    ledger = await createTestLedger();
  });
  afterAll(() => ledger.close());

  /** Its row as it was written before the clock went back by so many seconds. */
  async function setBack(id: string, seconds: number): Promise<void> {
    const { count } = await ledger.superuser`
      UPDATE mayfly.backend_budgets SET
        tokens = 0,
        filled_at = filled_at + make_interval(secs => ${seconds}::float8),
        mints_paused_until = mints_paused_until + make_interval(secs => ${seconds}::float8),
        ends_paused_until = ends_paused_until + make_interval(secs => ${seconds}::float8)
      WHERE backend_id = ${id}`;
    expect(count).toBe(1);
  }

  const budgetOf = (id: string): BackendBudget =>
    ledger.broker.backendBudgets.of(parseBackendId(id, "backend"));

  test("fills from the moment at which somebody asks, though nobody gets any then", async () => {
    const budget = budgetOf("filled-ahead");
    const mint = { use: "mints", tokens: 1, rate: RATE } as const;
    await budget.draw(mint);
    await setBack("filled-ahead", 3_600);
    expect((await budget.draw(mint)).kind).toBe("empty");
    await ledger.ports.pass(50);
    expect((await budget.draw(mint)).kind).toBe("drawn");
  });

  test("makes no end wait longer for a pause than the longest of ends", async () => {
    const budget = budgetOf("paused-ahead");
    await budget.pause(durationSeconds(60));
    await setBack("paused-ahead", 200);
    const end = await budget.draw({ use: "ends", tokens: 1, rate: RATE });
    expect(end.kind).toBe("drawn");
    expect(end.inSeconds).toBeLessThanOrEqual(END_PAUSE_SECONDS_MAX);
    const mint = await budget.draw({ use: "mints", tokens: 1, rate: RATE });
    expect(mint.inSeconds).toBeLessThanOrEqual(PAUSE_SECONDS_MAX);
  });
});
