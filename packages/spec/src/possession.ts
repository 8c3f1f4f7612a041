import type { Secret } from "./secret.ts";
import type { InstantMs } from "./time.ts";

/** To what kind of key a task is bound, if to any. */
export const KEY_BINDINGS = ["none", "dpop", "certificate"] as const;
export type KeyBinding = (typeof KEY_BINDINGS)[number];

/** What stands before the SHA-256 of a client certificate, where it is a confirmation. */
export const CERTIFICATE_CONFIRMATION = "x5t#S256:";

/**
 * Of a confirmation as tasks keep it: the RFC 7638 thumbprint of the key of a DPoP proof as it
 * stands (RFC 9449 section 6.1, `cnf.jkt`), or {@link CERTIFICATE_CONFIRMATION} and the hash of a
 * certificate (RFC 8705 section 3.1, `cnf["x5t#S256"]`).
 */
export function keyBindingOf(confirmation: string | null): KeyBinding {
  if (confirmation === null) return "none";
  return confirmation.startsWith(CERTIFICATE_CONFIRMATION) ? "certificate" : "dpop";
}

/** The `cnf` claim that says the same. */
export const confirmationClaim = (confirmation: string): Readonly<Record<string, string>> =>
  keyBindingOf(confirmation) === "certificate"
    ? { "x5t#S256": confirmation.slice(CERTIFICATE_CONFIRMATION.length) }
    : { jkt: confirmation };

/** The key whose possession a request proved. */
export interface ProvenKey {
  /** As tasks keep it and task tokens bear it. */
  readonly confirmation: string;
  /**
   * Spends the proof, once it is known whose request it is: a proof counts once, in all brokers of
   * the ledger. Several calls are one use. Throws `invalid_dpop_proof` where it was used before.
   */
  spend(): Promise<void>;
}

/** A DPoP proof, and the request that it came with. */
export interface PresentedProof {
  /** Value of the one `DPoP` header. */
  readonly proof: string;
  readonly method: string;
  /** The path below the public URL, with a slash in front and without a query. */
  readonly path: string;
  /** The token whose hash the proof must bear (`ath`); null at the token endpoint. */
  readonly token: Secret | null;
}

/** Verifies DPoP proofs (RFC 9449 section 4.3). */
export interface DpopProofs {
  readonly algorithms: readonly string[];
  /**
   * Everything but whether it was used before, and so without a write, whoever sends what. Throws
   * `invalid_dpop_proof`, or `use_dpop_nonce` where a nonce is asked for and it bears no good one.
   */
  check(presented: PresentedProof, now: InstantMs): Promise<ProvenKey>;
  /** For the `DPoP-Nonce` header: what the next proof should bear; null where none is asked for. */
  nonce(now: InstantMs): string | null;
}

/** Which proofs were used, in the ledger, so that all brokers know. */
export interface ProofUses {
  /**
   * False where it was recorded before. Kept until `expiresAt`, from when on no broker accepts the
   * proof anyway.
   */
  record(use: { readonly sha256: string; readonly expiresAt: InstantMs }): Promise<boolean>;
}
