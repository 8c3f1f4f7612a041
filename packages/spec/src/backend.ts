import type { Json, JsonObject, JsonSchema } from "./brand.ts";
import type { CallContext, IssueContext, Log, RecoverContext } from "./context.ts";
import type { BackendId, InstallationId, LeaseId } from "./ids.ts";
import type { BackendBudget } from "./backend-budget.ts";
import type { BackendNames } from "./backend-names.ts";
import type { BackendSlots } from "./backend-slots.ts";
import type { OutboundApis } from "./outbound-api.ts";
import type { SecretRotation } from "./secret-rotation.ts";
import type { Secret } from "./secret.ts";
import type { Clock, DurationSeconds, InstantMs, Random } from "./time.ts";
import type { TokenHost, TokenVerification } from "./token-verification.ts";

/**
 * A type of place that credentials come from: PostgreSQL, AWS, GitHub.
 *
 * Implementations and their fakes are tested by the contract suite in `@mayfly/testkit/contract`;
 * the lettered obligations below are its test names.
 */
export interface CredentialBackend {
  /** Bumped only when the shape of this interface changes. */
  readonly specVersion: 1;
  /** In every lease row and metric label, so permanent. No behaviour is switched on it. */
  readonly type: string;
  readonly capabilities: BackendCapabilities;
  readonly configSchema: JsonSchema;
  readonly roleSchema: JsonSchema;
  readonly paramsSchema: JsonSchema;
  /**
   * Each `parse*` is C1 strict: an unknown key is an {@link InvalidInput} that names it, and C2
   * returns the normal form with defaults filled in, which parses to itself.
   */
  parseConfig(input: unknown): JsonObject;
  /** The type's own members of a role: what the platform team fixed (`member_of`, …). */
  parseRole(input: unknown): JsonObject;
  /** What a request may ask for within the role. */
  parseParams(input: unknown): JsonObject;
  /** C3. A configuration without its secrets, fit for people and the ledger's readers. */
  describeConfig(config: JsonObject): JsonObject;
  /**
   * Says exactly what would be asked of the backend, without asking.
   *
   * P1. Pure and total over parsed input. P2. Never wider than role and params. P3. The external
   * name comes from installation and lease id alone and is never reused. P4. Expires no later
   * than asked. Throws {@link InvalidInput} when the combination cannot be granted.
   */
  plan(request: PlanRequest): IssuePlan;
  /**
   * P5. Whether `inner` gives no authority that `outer` does not: the comparator for child tasks.
   * False for anything that it does not understand.
   */
  isWithin(inner: IssuePlan, outer: IssuePlan): boolean;
  /** What of a described configuration no two backends of this type may have. */
  readonly soleNames?: SoleNames;
  /** Its credentials are tokens that it signs itself: opened, it has a `verification`. */
  readonly signsTokens?: true;
  /** Its credentials are certificates of an authority of its own: opened, it has an `authority`. */
  readonly certifies?: true;
  /**
   * Of a type that certifies: whether a configuration, as {@link describeConfig} shows it, has its
   * keys with somebody else, so that Mayfly neither lists, rotates nor retires any. Default: no.
   */
  readonly keysElsewhere?: (described: JsonObject) => boolean;
  /**
   * What its broker's login must be allowed upstream, in the order in which an administrator does
   * it, to copy and paste. Left out: there is nothing to allow.
   */
  readonly authority?: readonly AuthorityStep[];
  /** Its leases share something upstream: opened, it has an `upkeep`. */
  readonly looksAfter?: true;
  /** Mayfly can replace the broker's own secret: opened, it has `adoptSecret`. */
  readonly rotation?: SecretRotation;
  /** O1. Makes no network call. O2. Keeps no state that a second process would need. */
  open(config: JsonObject, host: PoolingHost): OpenBackend;
}

export interface AuthorityStep {
  /** Where it is done and as whom, as a sentence. */
  readonly what: string;
  /** As a block of code is marked. */
  readonly language: "sql" | "sh" | "json" | "hcl" | "text";
  /** With names of an example, and nothing secret. */
  readonly text: string;
}

/** Data, so that policy, replies, docs and console read it without opening anything. */
export interface BackendCapabilities {
  /**
   * Who makes the credential stop working at its expiry. `"upstream"`: it dies by itself.
   * `"login_only"`: new logins stop, open sessions go on until revoked (PostgreSQL VALID UNTIL).
   * `"broker"`: it lives until revoked. Only `"upstream"` can end a lease as `expired`.
   */
  readonly expiryEnforcedBy: "upstream" | "login_only" | "broker";
  readonly revocation: "none" | "immediate" | "propagating";
  readonly canRenew: boolean;
  readonly canList: boolean;
  readonly ttlSecondsMin: DurationSeconds;
  readonly ttlSecondsMax: DurationSeconds;
  /** The longest that one `issue` call may take effect after it was sent. Part of `settleBy`. */
  readonly issueCallSecondsMax: DurationSeconds;
  /**
   * What becomes of an `issue` that arrives when `recover` is at its lease already, however late.
   * `"refused"`: the name that `recover` took, or a deadline in the call, refuses it.
   * `"looked_for"`: creating is an upsert that nothing refuses (Redis `ACL SETUSER`), so `recover`
   * looks again for all of the quarantine, and after it the listing finds what still came; such a
   * type can list.
   */
  readonly lateMint: "refused" | "looked_for";
  /** The kind of what is handed out, such as `postgres-password`. */
  readonly credentialKind: string;
  /**
   * What is handed out is not made for the lease and outlives it. H1. Each grant of such a type has
   * a member {@link RISK_MEMBER}, and no policy permits it that does not accept it by its word.
   * Everybody is issued the same, which bears no name: `recover` has nothing to find.
   */
  readonly standingSecret?: true;
  /**
   * Its principals are few, made by the platform team, and used again: each lease has one of them,
   * a *slot*, to itself (see {@link BackendSlots}).
   * T1. A lease for which none is free is refused, effect `none`, with the time until one is.
   * T2. A slot serves its next tenant once the quarantine is over, and only that one.
   * T3. What comes late of an earlier tenancy (`revoke`, `probe`, `recover`) leaves the next
   * tenant as it is. T4. A tenancy begins with what an end does: nothing of the one before is left,
   * even if nobody revoked it. T5. An `issue` of an earlier tenancy that goes on after the slot
   * went to the next tenant is not sent; where `lateMint` is `refused`, what was sent is refused.
   */
  readonly pooled?: true;
  /**
   * Ends that come together are few calls upstream, the fewer the more there are at once: a pass
   * may have four times as many under way as of another type. Absent: each is a call of its own.
   */
  readonly endsTogether?: true;
}

/** All that a backend may touch besides its own driver. */
export interface BackendHost {
  readonly installation: InstallationId;
  /** As registered. */
  readonly backendId: BackendId;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /**
   * A keyed tag of this installation and this backend over `text`, lowercase hex; put on what the
   * backend makes. The tag of another backend does not verify.
   */
  tag(text: string): string;
  /** Constant-time check of {@link tag}. */
  verifyTag(text: string, tag: string): boolean;
  /** How long a tombstone left by `recover` is kept before it looks again. */
  readonly quarantineSeconds: DurationSeconds;
  /** For a type whose upstream is managed by an HTTP API. */
  readonly apis: OutboundApis;
  /** For a type whose credentials are tokens that the installation signs itself. */
  readonly tokens: TokenHost;
  /** For a type whose upstream keeps no name apart, and cannot list what it made. */
  readonly names: BackendNames;
}

/**
 * What is opened gets: the kit hands the slots on to types that are `pooled`, and to no other, and
 * keeps the budget to itself, for the limits of every type.
 */
export interface PoolingHost extends BackendHost {
  readonly budget: BackendBudget;
  readonly slots: BackendSlots;
}

export interface PlanRequest {
  readonly installation: InstallationId;
  readonly leaseId: LeaseId;
  /** When the credential shall stop working; already the least of all ceilings. */
  readonly expiresAt: InstantMs;
  /** Normal forms, from `parseRole` and `parseParams`. */
  readonly role: JsonObject;
  readonly params: JsonObject;
  readonly holder: CredentialHolder;
}

/** For whom the credential is, verified: for a type that writes it into what it issues. */
export interface CredentialHolder {
  /** As task tokens have it: for whom the task is. */
  readonly subject: string;
  /** As task tokens have it: who acts, the latest first. Empty: the subject itself. */
  readonly actors: readonly string[];
  /** What names both is to name the subject alone, as task tokens have it. Absent: both. */
  readonly impersonates?: true;
  /** The key that the task is bound to (see `keyBindingOf`), or null. */
  readonly confirmation: string | null;
}

/** Exactly what would be asked: policy judges it, the ledger records it, `issue` gets only it. */
export interface IssuePlan {
  readonly leaseId: LeaseId;
  readonly externalName: string;
  readonly expiresAt: InstantMs;
  /** The grant, in the backend's own vocabulary and normal form. No secret. */
  readonly grant: JsonObject;
}

/**
 * A member of a grant: one word for what is risked by it. A permit counts for such a grant only if
 * its policy says `@accepts("<that word>")`.
 */
export const RISK_MEMBER = "risk";

export type OpenBackend =
  | (BackendOperations & {
      readonly revocation: "none";
      /**
       * Of a standing secret (`standingSecret`), and no other type has it. H2. `refused` once the
       * configuration no longer holds what was handed out; `accepted` until then.
       */
      readonly replaced?: (handle: Secret, context: CallContext) => Promise<Probe>;
    })
  | (BackendOperations & RevocationOperations & { readonly revocation: "immediate" })
  | (BackendOperations & RevocationOperations & { readonly revocation: "propagating" });

export interface BackendOperations {
  /**
   * I1. Names what it makes by `plan.externalName` and tags it. I2. Fails with
   * {@link BackendError} and an honest `effect`. I3. Never retries what may have had an effect.
   * I4. Sends nothing after `context.issueBy`; past it the effect is `"none"`.
   * I5. What `recover` would not find by the name alone, it makes durable by `context.checkpoint`
   * before its next step, and makes no next one if that fails.
   */
  issue(plan: IssuePlan, context: IssueContext): Promise<Issued>;
  /**
   * Cleans up after an `issue` whose outcome nobody recorded. The core calls it only after
   * `settleBy`. R1. Idempotent. R2. Takes the name first where it can, so that a late mint fails;
   * else says `wait` and looks again, see {@link BackendCapabilities.lateMint}.
   * R3. `absent` only after looking, and only when no tombstone still waits.
   * R4. What it finds it tells by `context.found` before it destroys it.
   * `checkpoint` is the last handle that was made durable, if any.
   */
  recover(plan: IssuePlan, checkpoint: Secret | null, context: RecoverContext): Promise<Recovered>;
  readonly renewal:
    | { readonly kind: "none" }
    | {
        readonly kind: "extend";
        /**
         * N1. Moves the expiry to `expiresAt`, and can do nothing else: never re-enables what was
         * revoked. N2. Fails like `issue`. Returns the expiry that the backend now has.
         */
        extend(
          plan: IssuePlan,
          handle: Secret,
          expiresAt: InstantMs,
          context: IssueContext,
        ): Promise<InstantMs>;
      };
  readonly listing:
    | { readonly kind: "none" }
    | {
        readonly kind: "marked";
        /** L1. Everything that bears a Mayfly mark, ours or not, page by page (at most 1,000). */
        list(after: string | null, context: CallContext): Promise<MarkedPage>;
      };
  /**
   * S1. Proves each right that the type needs, harmlessly. S2. Says what to do for each
   * problem.
   */
  selfCheck(roles: readonly JsonObject[], context: CallContext): Promise<SelfCheck>;
  /**
   * U1. Compares what leases share at the upstream with the ledger, and puts it right: called as
   * often as a listing. Throws where it cannot, and counts as late once that lasts for two
   * intervals: then nothing more is issued until it can. Its type says so by `looksAfter`.
   */
  readonly upkeep?: (context: CallContext) => Promise<void>;
  /**
   * Of a type with a `rotation`. W1. Idempotent. W2. Has the upstream accept the configuration's
   * secret and no other, and returns once a login by that secret alone was let in.
   */
  readonly adoptSecret?: (context: CallContext) => Promise<void>;
  /**
   * Of a type whose upstream makes the secret. W3. Destroys what an earlier call had made and
   * nobody kept, or says that somebody has to; what ends by itself it may leave to that. W4.
   * Answers a new secret, of which the upstream accepts the old one still; null where the
   * configuration's own is such a one already. W5. Fails with effect `none` only where no secret
   * was made: then what was begun is taken back.
   */
  readonly obtainSecret?: (context: CallContext) => Promise<Secret | null>;
  /** Of a type whose credentials others verify with this backend's keys; no other has it. */
  readonly verification?: TokenVerification;
  /** Of a type that certifies; no other has it. */
  readonly authority?: PublishedAuthority;
  /** Closes pools. After it, every call rejects. */
  close(): Promise<void>;
}

export interface SoleNames {
  /** One of them: `audience`. */
  readonly what: string;
  of(describedConfig: JsonObject): readonly string[];
  /**
   * What several spellings of one name have in common. Names are compared as they are written; two
   * that differ by their spelling alone are taken one for the other by mistake.
   */
  spellingOf(name: string): string;
}

/** What those who verify a backend's certificates fetch: public, and never a secret. */
export interface PublishedAuthority {
  /** A1. Of that name, as the ledger has it now; null: there is no such document. */
  document(name: string): Promise<AuthorityDocument | null>;
  /** A2. Adds the next key when it is due; called by a timer, safe in many processes. */
  rotate(now: InstantMs): Promise<void>;
}

export interface AuthorityDocument {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

export interface RevocationOperations {
  /**
   * V1. Idempotent: what is already gone succeeds. V2. Returns only once the backend refuses the
   * credential, live sessions included; anything less throws. V3. Needs only the handle and
   * today's configuration.
   */
  revoke(handle: Secret, context: CallContext): Promise<Revoked>;
  /**
   * B1. Looks at what revocation is to have removed and says what it looked at. B2. Says
   * `accepted` while the credential lives; when it cannot tell, it throws.
   */
  probe(handle: Secret, context: CallContext): Promise<Probe>;
}

export interface Issued {
  /** Members of the reply's `data`; the secret ones are wrapped. */
  readonly material: Readonly<Record<string, Secret | Json>>;
  /** The one member of `material` whose fingerprint is kept. */
  readonly fingerprintOf: string;
  /** As the backend stated it; never later than planned. */
  readonly expiresAt: InstantMs;
  /** What `revoke` and `probe` will need, in the type's own encoding; sealed before storage. */
  readonly handle: Secret;
}

export type Recovered =
  | { readonly outcome: "absent"; readonly looked: JsonObject }
  /** Found, destroyed, and seen to be refused. */
  | { readonly outcome: "destroyed"; readonly looked: JsonObject }
  /** Not settled yet (a tombstone in quarantine): call again then. */
  | { readonly outcome: "wait"; readonly seconds: DurationSeconds; readonly reason: string }
  /** Cannot be found or destroyed, but certainly dies by itself then. */
  | { readonly outcome: "expires"; readonly notLaterThan: InstantMs };

export type Revoked =
  | { readonly outcome: "refused" }
  /** `revocation: "propagating"` only: refused everywhere by then; probe again. */
  | { readonly outcome: "propagating"; readonly until: InstantMs }
  /**
   * `revocation: "propagating"` and `expiryEnforcedBy: "upstream"` only: refused wherever the
   * backend is asked; wherever it is not, accepted until it dies by itself, at the latest then.
   */
  | { readonly outcome: "expires"; readonly notLaterThan: InstantMs };

export interface Probe {
  readonly verdict: "refused" | "accepted";
  /** What was looked at and found, for the event: `{ roles: 0, sessions: 0, prepared: 0 }`. */
  readonly looked: JsonObject;
}

export interface MarkedPage {
  readonly marked: readonly Marked[];
  /** Pass to the next call; null at the end. */
  readonly next: string | null;
}

export interface Marked {
  readonly externalName: string;
  /** `ours`: this installation's name and a tag that verifies. Others are never touched. */
  readonly mark:
    | { readonly kind: "ours"; readonly leaseId: LeaseId; readonly handle: Secret }
    | { readonly kind: "foreign"; readonly installation: string }
    | { readonly kind: "unverified" };
}

export interface SelfCheck {
  /** The backend's own identity (system identifier, account id), which an update may not change. */
  readonly upstreamIdentity: string;
  /** Backend's clock minus ours; null when it cannot be measured. */
  readonly clockSkewMs: number | null;
  readonly facts: JsonObject;
  readonly problems: readonly CheckProblem[];
}

export interface CheckProblem {
  /** Stable, such as `group_role_owns_objects`. */
  readonly code: string;
  readonly what: string;
  /** A sentence or a statement to run. */
  readonly fix: string;
}
