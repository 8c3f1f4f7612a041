import type { BackendId } from "./ids.ts";
import type { DurationSeconds, InstantMs } from "./time.ts";

/**
 * What the ledger keeps of the names that a backend gives out, for an upstream that cannot list
 * them and refuses one only where it is written into a document that many leases share: a *place*.
 * All times are the ledger's.
 */
export interface BackendNames {
  /**
   * Durable before the mint is sent. `known`: the name was taken before, or is refused already, so
   * nothing may be sent. `full`: of the place, `most` names that were taken are not over.
   */
  take(
    name: string,
    place: string,
    until: InstantMs,
    most: number,
  ): Promise<"taken" | "known" | "full">;
  /**
   * Of a taken one, once it is known when what bears it dies by itself; `now` where certainly
   * nothing was made. It counts no longer than that, and stays known. Never of a refused one.
   */
  shorten(name: string, until: InstantMs): Promise<void>;
  find(name: string): Promise<BackendName | null>;
  /**
   * Durable before the upstream hears of it: from now on the name is to be refused. One that was
   * never taken becomes known by it, and can be taken no more. Never makes `until` earlier.
   */
  refuse(name: string, place: string, until: InstantMs): Promise<BackendName>;
  /** Where something is refused, or was until a day ago: at most 1,000. */
  places(): Promise<readonly string[]>;
  /**
   * The turn of whoever rewrites a place, for so many seconds; null while it is another's. One that
   * is frozen loses its turn, and may still send what it was about to: what it writes has to be
   * harmless then, by the number of the turn, which is never used again and only grows.
   */
  beginTurn(place: string, seconds: DurationSeconds): Promise<PlaceTurn | null>;
  /** For so many seconds from now; false: it is no longer ours, and nothing more may be sent. */
  holdTurn(place: string, turn: number, seconds: DurationSeconds): Promise<boolean>;
  endTurn(place: string, turn: number): Promise<void>;
  /**
   * What a look at the upstream found refused: the first one that did counts. What is `missing`
   * counts from the next one on that finds it.
   */
  sawRefused(names: readonly string[], missing: readonly string[]): Promise<void>;
}

export interface BackendName {
  readonly name: string;
  readonly place: string;
  /** Whether a mint may have been sent under it. */
  readonly isTaken: boolean;
  /** Since it is to be refused; null: it is not. */
  readonly refusedForSeconds: number | null;
  /** Since the upstream was first seen to refuse it. */
  readonly seenForSeconds: number | null;
  /** Negative once whatever bears the name has died by itself. */
  readonly leftSeconds: number;
}

export interface PlaceTurn {
  readonly turn: number;
  /** What is to be refused at the place, and what was until an hour ago: at most 10,000. */
  readonly refused: readonly BackendName[];
}

export interface BackendNameStores {
  of(backendId: BackendId): BackendNames;
}
