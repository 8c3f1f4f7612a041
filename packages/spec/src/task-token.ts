import type { JsonObject } from "./brand.ts";
import type { TaskId } from "./ids.ts";
import type { Secret } from "./secret.ts";
import type { Actor } from "./task.ts";
import type { DurationSeconds, InstantMs } from "./time.ts";

/**
 * Task tokens: RFC 9068 access tokens (`typ` `at+jwt`) whose audience is our own issuer. They say
 * which task, never that the task lives: every use reads the task's row.
 */
export interface TaskTokenClaims {
  readonly taskId: TaskId;
  /** For whom the task is: its initiator, or who opened the first task of the chain. */
  readonly subject: string;
  /**
   * Who acts for the subject (`act`, RFC 8693 section 4.1): first the task's workload, then those
   * before it, who are history. Absent: the subject is the task's workload itself.
   */
  readonly actors?: readonly string[];
  /**
   * The token names the subject alone, without `act` (RFC 8693 section 1.1), as policy permitted
   * for this pair. Who acts is its `client_id` even so (RFC 9068 section 2.2), and the one of
   * `actors`.
   */
  readonly impersonates?: true;
  readonly issuedAt: InstantMs;
  readonly expiresAt: InstantMs;
  /** RFC 7638 thumbprint (`cnf.jkt`), or null. */
  readonly confirmation: string | null;
  /** As granted: echoed in `authorization_details`. No secret. */
  readonly authorizationDetails: readonly JsonObject[];
}
/** Whose task token it is: the task's own workload. */
export const holderOf = ({
  subject,
  actors,
}: Pick<TaskTokenClaims, "subject" | "actors">): string => actors?.[0] ?? subject;

/** RFC 8693 section 4.1: the one who acts now is outermost, and holds those before it. */
export function actClaim({
  actors = [],
  impersonates,
}: Pick<TaskTokenClaims, "actors" | "impersonates">): { readonly act?: JsonObject } {
  if (impersonates === true) return {};
  const act = actors.reduceRight<JsonObject | null>(
    (before, sub) => (before === null ? { sub } : { sub, act: before }),
    null,
  );
  return act === null ? {} : { act };
}

export interface TaskTokens {
  sign(claims: TaskTokenClaims): Promise<Secret>;
  /** How many characters a token has that says this, before there is one. All are ASCII. */
  lengthOf(claims: TaskTokenClaims): number;
  /** Throws `unauthenticated`; the cause is for the log. */
  verify(token: Secret, now: InstantMs): Promise<TaskTokenClaims & { readonly jti: string }>;
  /**
   * What a token says that is to be revoked, also where `verify` trusts it no more. Null: it is
   * none of ours, for certain. Throws `NotKnownYet` where that cannot be known now, and `busy`
   * for one of ours that only another version can read.
   */
  readForEnd(token: Secret, now: InstantMs): Promise<TaskTokenToEnd | null>;
  /**
   * Public keys, RFC 7517: the signing one, the next, and old ones whose tokens may still live. As
   * fresh as what `verify` trusts; while the ledger is away, as last known for as long as a token
   * lives, and then it throws `ledger_unavailable`.
   */
  jwks(): Promise<{ readonly keys: readonly JsonObject[] }>;
  /** Creates, promotes and retires keys by age; called by a timer, safe in many processes. */
  rotate(now: InstantMs): Promise<void>;
}

export interface TaskTokenToEnd {
  readonly claims: TaskTokenClaims & { readonly jti: string };
  /**
   * `counts`: some broker may take it. `dead`: none does, it has expired. `retiring`: its key was
   * retired just now, and some broker may take it still. `retired`: none does. Of these two the
   * signature proves nothing, since the key may have leaked.
   */
  readonly standing: "counts" | "dead" | "retiring" | "retired";
}

/**
 * A key that leaked is stored as one that ceased to verify so long ago: a broker whose clock is
 * behind would go on trusting it otherwise.
 */
export const RETIRED_BEFORE_SECONDS = 300;

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
    /** Left out: the broker itself. */
    actor?: Actor,
  ): Promise<boolean>;
  /**
   * From its commit on `kid` verifies no more ({@link RETIRED_BEFORE_SECONDS}), nor does any key
   * that has not begun to sign; `replacement` signs, and what else still verifies does so for
   * `oldVerifyFor` at most. False when another process was first.
   */
  retire(
    kid: string,
    replacement: StoredSigningKey,
    expectedNewestKid: string | null,
    oldVerifyFor: DurationSeconds,
    actor: Actor,
  ): Promise<boolean>;
}

export type SigningKeyState = "next" | "signs" | "verifies" | "retired";
export interface SigningKeyView {
  readonly kid: string;
  readonly state: SigningKeyState;
  readonly createdAt: InstantMs;
  readonly signsFromAt: InstantMs;
  readonly verifiesUntilAt: InstantMs | null;
}

/** The keys of task tokens, for administrators. */
export interface SigningKeyAdministration {
  /** Newest first. */
  list(): Promise<readonly SigningKeyView[]>;
  /** Publishes the next key now instead of when it is due; no valid token is refused. */
  rotate(actor: Actor): Promise<{
    /** `already`: a next key was published before and has not begun to sign. */
    readonly kind: "added" | "already";
    readonly kid: string;
    readonly signsFromAt: InstantMs;
  }>;
  /**
   * For a key that leaked: no token that it signed is trusted any more, and another one signs from
   * now on. Throws `not_found`.
   */
  retire(
    kid: string,
    actor: Actor,
  ): Promise<{
    /** `already`: it was not trusted before. */
    readonly kind: "retired" | "already";
    readonly kid: string;
    readonly replacedBy: string | null;
  }>;
}
