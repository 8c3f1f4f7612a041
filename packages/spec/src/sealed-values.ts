import type { Actor } from "./task.ts";

export const SEALED_KINDS = ["lease", "backend", "signing_key", "backend_key"] as const;
export type SealedKind = (typeof SEALED_KINDS)[number];

/** One sealed value that is still needed. */
export interface SealedValue {
  readonly kind: SealedKind;
  /** Where it stands, for {@link SealedValues.page} and for who reads an error. */
  readonly place: string;
  /** What it is bound to: see `bindingOf`. */
  readonly binding: string;
  readonly sealed: Uint8Array;
}

/**
 * All that the ledger holds sealed: handles of leases that have not ended, every revision of each
 * backend's configuration, signing keys of task tokens and of backends. Handles of ended leases are
 * not among them: nobody needs them again, for a lease that resurfaces gets the handle that was
 * found.
 */
export interface SealedValues {
  /** In the order of `place`, from after that place on; null: from the first. */
  page(after: string | null, limit: number): Promise<readonly SealedValue[]>;
  /**
   * Puts each value in the place of the one that was read, where that still stands, and says in one
   * event how many. Returns how many it replaced; the others were written anew meanwhile.
   */
  replace(
    resealed: readonly { readonly value: SealedValue; readonly sealed: Uint8Array }[],
    keyId: string,
    actor: Actor,
  ): Promise<number>;
}
