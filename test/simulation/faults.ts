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

/** Which faults of the fake upstream are honest for an operation: no look among them lies. */
export const BACKEND_FAULTS: Readonly<Record<FakeOperation, readonly [FakeFault, ...FakeFault[]]>> =
  {
    issue: [
      "refuse",
      "unavailable",
      "timeout_without_effect",
      "timeout_with_effect",
      "late_effect",
      "hang",
    ],
    recover: [
      "unavailable",
      "timeout_without_effect",
      "timeout_with_effect",
      "late_effect",
      "hang",
    ],
    // `pretend`: it says that it revoked, and did not. The probe has to find out.
    revoke: [
      "unavailable",
      "timeout_without_effect",
      "timeout_with_effect",
      "late_effect",
      "hang",
      "pretend",
    ],
    probe: ["unavailable", "timeout_without_effect", "hang"],
    extend: ["refuse", "unavailable", "timeout_without_effect", "timeout_with_effect", "hang"],
    list: ["unavailable", "timeout_without_effect", "hang"],
    selfCheck: ["unavailable"],
  };
