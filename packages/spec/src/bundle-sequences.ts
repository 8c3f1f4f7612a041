import type { TrustRootName } from "./ids.ts";

/** Where a trust root's bundle comes from: another domain or address has a sequence of its own. */
export interface BundleSource {
  readonly trustRoot: TrustRootName;
  /** Hex SHA-256 of trust domain and address. */
  readonly sourceSha256: string;
}

/** The highest sequence that there is: 64 bits without a sign. */
export const BUNDLE_SEQUENCE_MAX = 2n ** 64n - 1n;

/**
 * The highest sequence that any broker ever saw of a bundle (SPIFFE Trust Domain and Bundle section
 * 4.1.1), in the ledger: one that goes back is refused by each of them, and after a restart too.
 * From 0 to {@link BUNDLE_SEQUENCE_MAX}; a double would take two that follow each other for one.
 * Forgotten when the trust root is deleted: what is registered then begins anew.
 */
export interface BundleSequences {
  /** Notes one that was seen, and answers the highest, durably: this one, or a higher one. */
  note(source: BundleSource, sequence: bigint): Promise<bigint>;
  /** Without noting any; null: none was seen. */
  newest(source: BundleSource): Promise<bigint | null>;
}
