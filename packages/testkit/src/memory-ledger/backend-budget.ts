import {
  BUDGET_WAIT_SECONDS_MAX,
  END_PAUSE_SECONDS_MAX,
  PAUSE_SECONDS_MAX,
  type BackendBudget,
  type BackendBudgetStores,
  type BackendId,
  type BudgetAnswer,
  type BudgetDraw,
  type Clock,
} from "@mayfly/spec";
import type { FaultGate } from "./faults.ts";

export function createMemoryBudgetStores(clock: Clock, gate: FaultGate): BackendBudgetStores {
  const budgets = new Map<BackendId, BackendBudget>();
  return {
    of: (backendId) => {
      const known = budgets.get(backendId) ?? behind(gate, createMemoryBudget(clock));
      budgets.set(backendId, known);
      return known;
    },
  };
}

/** What is drawn of a ledger that is away is drawn of nothing. */
const behind = (gate: FaultGate, { draw, pause }: MemoryBudget): BackendBudget => ({
  draw: (asked) => gate.run("draw", () => draw(asked)),
  pause: (seconds) => gate.run("pause", () => pause(seconds)),
});

/** As the ledger's, at once. */
interface MemoryBudget {
  readonly draw: (asked: BudgetDraw) => BudgetAnswer;
  readonly pause: (seconds: number) => void;
}

/** As the ledger's, on the clock that it is given. */
export function createTestBudget(clock: Clock): BackendBudget {
  const { draw, pause } = createMemoryBudget(clock);
  return {
    draw: async (asked) => draw(asked),
    pause: async (seconds) => pause(seconds),
  };
}

function createMemoryBudget(clock: Clock): MemoryBudget {
  let bucket: { readonly tokens: number; readonly filledAtMs: number } | null = null;
  let mintsPausedUntilMs = Number.NEGATIVE_INFINITY;
  let endsPausedUntilMs = Number.NEGATIVE_INFINITY;
  const held = ({ perSecond, burst }: BudgetDraw["rate"], nowMs: number): number => {
    if (bucket === null) return burst;
    // What was promised at a higher rate counts as the most that this one would promise.
    const tokens = Math.max(bucket.tokens, -perSecond * BUDGET_WAIT_SECONDS_MAX);
    bucket = { tokens, filledAtMs: bucket.filledAtMs };
    return Math.min(burst, tokens + (perSecond * (nowMs - bucket.filledAtMs)) / 1000);
  };
  const take = (tokens: number, left: number, nowMs: number, inSeconds: number): BudgetAnswer => {
    bucket = { tokens: left - tokens, filledAtMs: nowMs };
    return { kind: "drawn", tokens, inSeconds };
  };
  return {
    draw: ({ use, tokens: wanted, rate }) => {
      const nowMs = clock.monotonicMs();
      const there = held(rate, nowMs);
      const { perSecond, keptForEnds } = rate;
      if (use === "ends") {
        const inSeconds = Math.max(0, (wanted - there) / perSecond);
        if (inSeconds > BUDGET_WAIT_SECONDS_MAX) {
          return { kind: "empty", inSeconds: inSeconds - BUDGET_WAIT_SECONDS_MAX };
        }
        const pauseSeconds = (endsPausedUntilMs - nowMs) / 1000;
        return take(wanted, there, nowMs, Math.max(inSeconds, pauseSeconds));
      }
      const pauseSeconds = (mintsPausedUntilMs - nowMs) / 1000;
      if (pauseSeconds > 0) return { kind: "paused", inSeconds: pauseSeconds };
      const tokens = Math.min(wanted, Math.floor(there - keptForEnds + 1e-9));
      if (tokens >= 1) return take(tokens, there, nowMs, 0);
      return { kind: "empty", inSeconds: Math.max(0, (1 + keptForEnds - there) / perSecond) };
    },
    pause: (seconds) => {
      const nowMs = clock.monotonicMs();
      const until = (most: number): number => nowMs + Math.min(seconds, most) * 1000;
      mintsPausedUntilMs = Math.max(mintsPausedUntilMs, until(PAUSE_SECONDS_MAX));
      endsPausedUntilMs = Math.max(endsPausedUntilMs, until(END_PAUSE_SECONDS_MAX));
    },
  };
}
