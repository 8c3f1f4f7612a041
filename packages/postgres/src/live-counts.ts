import type { Clock } from "@mayfly/spec";

/** How old a count may be: what other processes granted meanwhile is the overshoot of the limit. */
const FRESH_MS = 1_000;
/** Nearer to the limit than this share of it, each batch counts anew. */
const NEAR = 0.9;
const ROLES_MAX = 10_000;

interface Counted {
  readonly atMs: number;
  readonly live: number;
  granted: number;
}

/**
 * How many leases of each role live, as this process counted them a moment ago, and what it has
 * granted since. A role's limit is soft, and its count is the only one that grows with the ledger:
 * counted in each batch, 10⁵ live leases of a role would cost each exchange milliseconds.
 *
 * What ended meanwhile still counts, so a stale count refuses rather than permits; and near the
 * limit it is not used.
 */
export class LiveRoles {
  readonly #clock: Clock;
  readonly #counted = new Map<string, Counted>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Null: count, and {@link note} it. */
  read(role: string, limit: number): number | null {
    const known = this.#counted.get(role);
    if (known === undefined || this.#clock.monotonicMs() - known.atMs >= FRESH_MS) return null;
    const live = known.live + known.granted;
    return live < limit * NEAR ? live : null;
  }

  note(role: string, live: number): void {
    if (this.#counted.size >= ROLES_MAX) this.#counted.clear();
    this.#counted.set(role, { atMs: this.#clock.monotonicMs(), live, granted: 0 });
  }

  granted(role: string, leases: number): void {
    const known = this.#counted.get(role);
    if (known !== undefined) known.granted += leases;
  }
}
