import type { FakeFault, FakeOperation } from "@mayfly/testkit";
import type { Draw } from "./draw.ts";

/**
 * What may go wrong in a history, as probabilities at each place where it can. Zero turns a kind
 * off, which is how a failing history is made smaller.
 */
export interface FaultRates {
  /** At each await: the process is gone, and comes back later as a new one. */
  readonly kill: number;
  /** At each await: it stands still for up to half a minute, then goes on as if nothing were. */
  readonly freeze: number;
  /** Of the ledger: a call fails before it did anything; it commits and nobody hears of it. */
  readonly ledger: number;
  readonly backend: number;
  /** Of the queue: lost, repeated, late. */
  readonly queue: number;
  /** Per history: the ledger is away; one backend is away; the queue forgets everything. */
  readonly outage: number;
  /** Of answers: seconds instead of milliseconds. */
  readonly slow: number;
  /** Wall clocks of processes jump, within the skew that is allowed. */
  readonly jump: number;
  /** An administrator changes the configuration of a backend. */
  readonly change: number;
  /** A security team ends all that a selector names. */
  readonly incident: number;
}

export const NO_FAULTS: FaultRates = {
  kill: 0,
  freeze: 0,
  ledger: 0,
  backend: 0,
  queue: 0,
  outage: 0,
  slow: 0,
  jump: 0,
  change: 0,
  incident: 0,
};

/** Of one history: kinds often, seldom or not at all, so that each also comes alone. */
export function drawRates(draw: Draw): FaultRates {
  const rate = (often: number): number => draw.of([0, often / 5, often]);
  return {
    kill: rate(0.01),
    freeze: rate(0.004),
    ledger: rate(0.02),
    backend: rate(0.15),
    queue: rate(0.4),
    outage: draw.of([0, 0.5]),
    slow: rate(0.05),
    jump: rate(0.5),
    change: draw.of([0, 0.7]),
    incident: draw.of([0, 0.7]),
  };
}

/** How often each fault struck at each place: what a history has covered. */
export class Strikes {
  readonly #counts = new Map<string, number>();
  add(place: string, fault: string): void {
    const key = `${place} × ${fault}`;
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }
  addAll(other: Strikes): void {
    for (const [key, count] of other.#counts) {
      this.#counts.set(key, (this.#counts.get(key) ?? 0) + count);
    }
  }
  /** Sorted by place, then fault. */
  entries(): readonly (readonly [string, number])[] {
    return [...this.#counts].toSorted(([a], [b]) => (a < b ? -1 : 1));
  }
}

const ANSWERS = [
  "unavailable",
  "rate_limited",
  "internal_error",
  "timeout_without_effect",
  "hang",
] as const;
const EFFECTS = ["timeout_with_effect", "reset_after_effect", "twice"] as const;

/** Which faults of the fake upstream are honest for an operation: no look among them lies. */
export const BACKEND_FAULTS = {
  issue: [...ANSWERS, ...EFFECTS, "refuse", "late_effect"],
  recover: [...ANSWERS, ...EFFECTS, "late_effect"],
  // `pretend`: it says that it revoked, and did not. The probe has to find out.
  revoke: [...ANSWERS, ...EFFECTS, "late_effect", "pretend"],
  probe: [...ANSWERS],
  extend: [...ANSWERS, ...EFFECTS, "refuse"],
  list: [...ANSWERS],
} as const satisfies Partial<Record<FakeOperation, readonly [FakeFault, ...FakeFault[]]>>;

/** What a process asks of a backend while a history runs. */
export type SimulatedOperation = keyof typeof BACKEND_FAULTS;
