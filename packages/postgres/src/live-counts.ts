import type { Clock } from "@mayfly/spec";

/** How old a count may be: what other processes granted meanwhile is the overshoot of the limit. */
const FRESH_MS = 1_000;
/** From this age on, it is counted anew beside the batches, none of which then waits for it. */
const AHEAD_MS = 750;
/** Nearer to the limit than this share of it, each batch counts anew. */
const NEAR = 0.9;
const COUNTS_MAX = 10_000;

interface Counted {
  readonly atMs: number;
  readonly live: number;
  granted: number;
  isCountedAnew: boolean;
}

/**
 * How many leases of a role, or of a workload, live, as this process counted them a moment ago, and
 * what it has granted since; by `role:` and `workload:`. These limits are soft: counted in each
 * batch, 10⁵ live leases of a role would cost each exchange milliseconds, and a workload that asks
 * all day would pay for each lease that it holds.
 *
 * What ended meanwhile still counts, so a stale count refuses rather than permits; and near the
 * limit it is not used.
 */
export class LiveCounts {
  readonly #clock: Clock;
  readonly #counted = new Map<string, Counted>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Null: count, and {@link note} it. */
  read(name: string, limit: number): number | null {
    const known = this.#counted.get(name);
    if (known === undefined || this.#clock.monotonicMs() - known.atMs >= FRESH_MS) return null;
    const live = known.live + known.granted;
    return live < limit * NEAR ? live : null;
  }

  note(name: string, live: number): void {
    if (this.#counted.size >= COUNTS_MAX) this.#counted.clear();
    const atMs = this.#clock.monotonicMs();
    this.#counted.set(name, { atMs, live, granted: 0, isCountedAnew: false });
  }

  /**
   * Of a count that will soon be too old: to be called with what is counted from now on. What is
   * granted while it is counted may be in it, and is added all the same: it errs to the same side
   * as its age does. Null: there is no need, or it is being counted.
   */
  ahead(name: string): ((live: number) => void) | null {
    const known = this.#counted.get(name);
    if (known === undefined || known.isCountedAnew) return null;
    const atMs = this.#clock.monotonicMs();
    const ageMs = atMs - known.atMs;
    if (ageMs < AHEAD_MS || ageMs >= FRESH_MS) return null;
    known.isCountedAnew = true;
    const before = known.granted;
    return (live) => {
      // Where a batch has counted it meanwhile, that is newer.
      if (this.#counted.get(name) !== known) return;
      const granted = known.granted - before;
      this.#counted.set(name, { atMs, live, granted, isCountedAnew: false });
    };
  }

  granted(name: string, leases: number): void {
    const known = this.#counted.get(name);
    if (known !== undefined) known.granted += leases;
  }
}

export const roleCount = (role: string): string => `role:${role}`;
export const workloadCount = (workload: string): string => `workload:${workload}`;
