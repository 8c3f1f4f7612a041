import type { JsonObject } from "./brand.ts";
import type { TaskId } from "./ids.ts";
import type { Secret } from "./secret.ts";
import type { DurationSeconds, InstantMs } from "./time.ts";

/**
 * Task tokens: RFC 9068 access tokens (`typ` `at+jwt`) whose audience is our own issuer. They say
 * which task, never that the task lives: every use reads the task's row.
 */
export interface TaskTokenClaims {
  readonly taskId: TaskId;
  /** The workload's name. */
  readonly subject: string;
  readonly issuedAt: InstantMs;
  readonly expiresAt: InstantMs;
  /** RFC 7638 thumbprint (`cnf.jkt`), or null. */
  readonly confirmation: string | null;
  /** As granted: echoed in `authorization_details`. No secret. */
  readonly authorizationDetails: readonly JsonObject[];
}
export interface TaskTokens {
  sign(claims: TaskTokenClaims): Promise<Secret>;
  /** Throws `unauthenticated`; the cause is for the log. */
  verify(token: Secret, now: InstantMs): Promise<TaskTokenClaims & { readonly jti: string }>;
  /** Public keys, RFC 7517: the signing one, the next, and old ones whose tokens may still live. */
  jwks(): { readonly keys: readonly JsonObject[] };
  /** Creates, promotes and retires keys by age; called by a timer, safe in many processes. */
  rotate(now: InstantMs): Promise<void>;
}

/** A signing key as stored: the private JWK is sealed to its `kid`. */
export interface StoredSigningKey {
  readonly kid: string;
  readonly publicJwk: JsonObject;
  readonly sealedPrivateJwk: Uint8Array;
  readonly createdAt: InstantMs;
  /** Signs from then on: published ahead, so that verifiers' caches have it. */
  readonly signsFromAt: InstantMs;
  /** Verifies until then; null while it is the newest. */
  readonly verifiesUntilAt: InstantMs | null;
}
export interface SigningKeyStore {
  /** Newest first. Leaves out those that ceased to verify more than a day ago. */
  list(): Promise<readonly StoredSigningKey[]>;
  /**
   * Adds `key` and sets `verifiesUntilAt` of the one before it to `oldVerifyFor` after the new one
   * begins to sign, if the newest stored key is still `expectedNewestKid` (null: none); false when
   * another process was first.
   */
  add(
    key: StoredSigningKey,
    expectedNewestKid: string | null,
    oldVerifyFor: DurationSeconds,
  ): Promise<boolean>;
}
