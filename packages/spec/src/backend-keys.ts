import type { JsonObject } from "./brand.ts";
import type { BackendId } from "./ids.ts";
import type { Secret } from "./secret.ts";
import type { SigningKeyStore } from "./task-token.ts";
import type { InstantMs } from "./time.ts";

/** What a backend may sign with. RFC 9068 section 2.1 has everybody verify RS256. */
export const BACKEND_KEY_ALGORITHMS = ["ES256", "RS256", "EdDSA"] as const;
export type BackendKeyAlgorithm = (typeof BACKEND_KEY_ALGORITHMS)[number];

/**
 * Signing keys of one backend: kept, published ahead, rotated and retired as those of task tokens
 * are, and never theirs, nor another backend's.
 */
export interface BackendKeys {
  /** A JWT (RFC 7519) under the newest key that signs; it names the key. Rejects without a key. */
  sign(type: string, claims: JsonObject): Promise<Secret>;
  /** The claims of a JWT of that `typ` that a key of this backend signed, or null. */
  verify(type: string, token: Secret): Promise<JsonObject | null>;
  /**
   * As `verify`, for an end: also of a key that was retired, by which the signature vouches for
   * nothing. Null: none signed it, for certain. Throws `NotKnownYet` where that is not known now.
   */
  verifyForEnd(type: string, token: Secret): Promise<JsonObject | null>;
  /**
   * RFC 7517, oldest first; while the ledger is away as last known, for as long as a token of
   * theirs may live, and then it throws `ledger_unavailable`.
   */
  published(): Promise<readonly JsonObject[]>;
  /**
   * Every key that is trusted now or will be, oldest first, for a type that signs in a format of
   * its own. The last one whose `signsFromAt` is past signs what is new.
   */
  authorities(): Promise<readonly AuthorityKey[]>;
  /** Creates the first key, and each next one when it is due or the algorithm changed. */
  rotate(algorithm: BackendKeyAlgorithm, now: InstantMs): Promise<void>;
}

/** A key of one backend, as what vouches for what the backend issues. */
export interface AuthorityKey {
  readonly kid: string;
  readonly algorithm: BackendKeyAlgorithm;
  readonly publicJwk: JsonObject;
  readonly createdAt: InstantMs;
  /** Published from the beginning; signs from then on. */
  readonly signsFromAt: InstantMs;
  /**
   * A signature over bytes that are no JWT: RFC 8032 (EdDSA), RFC 8017 section 8.2 with SHA-256
   * (RS256), or a DER-encoded ECDSA-Sig-Value with SHA-256 (ES256).
   */
  sign(bytes: Uint8Array): Promise<Uint8Array>;
}

/** Where each backend's keys are stored. */
export interface BackendKeyStores {
  of(backendId: BackendId): SigningKeyStore;
}
