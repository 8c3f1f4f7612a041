import type { LeaseId } from "./ids.ts";
import type { InstantMs } from "./time.ts";

/**
 * Which leases of one backend have to be refused, in one reading of the ledger: what a list of
 * revoked credentials is made of.
 */
export interface EndedLeases {
  /**
   * Rises with each reading of this backend, in whichever process, and is below 2^53: a reading of
   * a higher number lacks nothing that a lower one had, but what has expired since.
   */
  readonly number: number;
  /** By the ledger's clock. */
  readonly readAt: InstantMs;
  readonly leases: readonly EndedLease[];
  /**
   * Until then lists may count that were made when those of the backend counted for longer, and
   * lack what ended since. Left out if there never were such.
   */
  readonly longerListsUntil?: InstantMs;
}

export interface EndedLease {
  readonly leaseId: LeaseId;
  /** When its end was asked for, or begun: never later than any answer that said that it ended. */
  readonly endedAt: InstantMs;
  readonly expiresAt: InstantMs;
}

export interface EndedLeasesWanted {
  /** The longest that a lease of the backend lives: none reserved before that is sought. */
  readonly lifetimeSecondsMax: number;
  /** How long after its expiry a lease is still listed. */
  readonly graceSeconds: number;
  /** How long a list that is made of the reading counts. Left out where lists do not run out. */
  readonly listSeconds?: number;
}

/**
 * With so many in one reading a backend issues nothing. A reading itself has all that there are: a
 * list that is refused or cut short would leave what ended accepted.
 */
export const ENDED_LEASES_MAX = 50_000;
