import type { JsonObject } from "./brand.ts";
import type { IssuePlan, Marked } from "./backend.ts";
import type { EndedLeases, EndedLeasesWanted } from "./ended-leases.ts";
import type { BackendId, DecisionId, LeaseId, RoleName, TaskId, TrustRootName } from "./ids.ts";
import type { VerifiedIdentity } from "./identity.ts";
import type { Exposure, Lease, LeaseOutcome, LeaseState } from "./lease.ts";
import type { Decision } from "./policy.ts";
import type { Actor, EndedTaskState, Task } from "./task.ts";
import type { DurationSeconds, InstantMs } from "./time.ts";

/**
 * The ledger: the durable memory of every credential that we may have caused to exist.
 *
 *     reserve ─▶ reserved ──activate──▶ active ──end, due──▶ ending ──settle──▶ ended
 *                  │  │                                      ▲  │ ▲              │
 *                  │  └─ settleBy passed, or withheld ───────┘  ▼ │ retried      │
 *                  └──── abandon (effect none) ──▶ ended       stuck ◀┘ for ever │
 *                                                     resurface: reopened ◀──────┘
 *
 * G1. A row exists before the backend hears of it. G2. No row is ever deleted. G3. Each transition
 * appends its events in the same transaction. G4. Each transition is compare-and-swap; the loser is
 * told. G5. Serialisation failures and deadlocks are retried inside; an unreachable ledger is
 * `ledger_unavailable`. G6. Due, idle and claimed are judged by the ledger's own clock.
 * G7. After a task's end was requested, `reserve`, `activate`, `renew` and opening a child refuse
 * below it. G8. One refused row never fails another caller's.
 */

/** Made only by a ledger; the type argument is the state machine. */
export interface LeaseHandle<State extends LeaseState> {
  readonly id: LeaseId;
  readonly state: State;
  /** Row version for the compare-and-swap. */
  readonly version: number;
}

/** Steps 6 to 8 of the exchange, and renewal. */
export interface IssueLedger {
  /** What an Idempotency-Key was used for, or null. Kept 24 h. */
  readIdempotent(scope: IdempotencyScope): Promise<IdempotencyRecord | null>;
  /**
   * One transaction: task, decisions, leases, events, key, one-time token. All or nothing. Throws
   * `not_found` (task or parent), `task_ended` (also past the deadline), `lease_limit`,
   * `idempotency_mismatch`, `replayed`, `busy`.
   */
  reserve(reservation: Reservation): Promise<ReserveResult>;
  /** Throws `conflict` when the lease is no longer reserved. */
  checkpoint(lease: LeaseHandle<"reserved">, sealedHandle: Uint8Array): Promise<void>;
  /**
   * Resolves only when durable. `withheld`: the end was requested, or a later generation exists;
   * the handle is stored, the lease is `ending`, and the secret must be dropped. `refused`: the row
   * is no longer reserved (recover took it): destroy by the handle in hand.
   */
  activate(lease: LeaseHandle<"reserved">, activation: Activation): Promise<ActivateResult>;
  /** Only for effect `"none"`. Throws `conflict` when the lease is no longer reserved. */
  abandon(lease: LeaseHandle<"reserved">, why: string): Promise<void>;
  /**
   * Denials are durable before their reply, and so is the use of their one-time token. Throws
   * `replayed` when another request used it before; the denial is on record all the same. A permit
   * to administer goes on record by it too, before the change.
   */
  recordDenial(denial: Denial): Promise<void>;
  /**
   * A use of a one-time token that is neither a reservation's nor a denial's. False where it was
   * used before, by whatever request; durable when it resolves.
   */
  recordTokenUse(oneTime: NonNullable<VerifiedIdentity["oneTime"]>): Promise<boolean>;
  /**
   * Records the later expiry before the backend is asked. Throws `task_ended`, `not_found`, or
   * `conflict` (not active, not later, or beyond the deadline).
   */
  recordRenewal(renewal: Renewal): Promise<RecordedRenewal>;
}

export interface IdempotencyScope {
  /** Workload name, key thumbprint or empty, task id or empty: hashed together by the core. */
  readonly scopeSha256: string;
  readonly key: string;
}
export interface IdempotencyRecord {
  readonly bodySha256: string;
  readonly taskId: TaskId;
  readonly generation: number;
}

export interface NewTask {
  readonly id: TaskId;
  readonly parentId: TaskId | null;
  readonly identity: VerifiedIdentity;
  readonly verifiedInitiator: string | null;
  readonly initiatorTrustRoot: TrustRootName | null;
  /** Who acted for the initiator before, by its token: for the record alone. Absent: nobody. */
  readonly initiatorActors?: readonly string[];
  readonly descriptor: Task["descriptor"];
  /** Seconds from the ledger's now; the ledger bounds it by the parent's deadline. */
  readonly deadlineAt: InstantMs;
}

export interface Reservation {
  readonly task:
    | { readonly kind: "open"; readonly task: NewTask }
    | {
        readonly kind: "existing";
        readonly taskId: TaskId;
        /** Fresh proof by the same subject, recorded as such; null when a task token was shown. */
        readonly identity: VerifiedIdentity | null;
      };
  readonly decisions: readonly Decision[];
  readonly leases: readonly LeaseIntent[];
  readonly idempotency:
    | (IdempotencyScope & {
        readonly bodySha256: string;
        /** The generation that `readIdempotent` showed, 0 for none. */
        readonly seenGeneration: number;
      })
    | null;
  readonly oneTime: VerifiedIdentity["oneTime"];
  readonly confirmation: string | null;
  /** The catalogue that the decisions were made from. */
  readonly catalogVersion: number;
  readonly limits: LeaseLimits;
}

/** Soft limits on live leases: a bounded overshoot is accepted, a queue on a counter is not. */
export interface LeaseLimits {
  readonly perTask: number;
  readonly perWorkload: number;
  readonly perRole: number;
}

export interface LeaseIntent {
  readonly id: LeaseId;
  readonly role: RoleName;
  readonly backendId: BackendId;
  readonly backendType: string;
  readonly backendRevision: number;
  readonly decisionId: DecisionId;
  readonly plan: IssuePlan;
  readonly issueBy: InstantMs;
  readonly settleBy: InstantMs;
}

export type ReserveResult =
  | {
      readonly kind: "reserved";
      readonly task: Task;
      readonly leases: readonly LeaseHandle<"reserved">[];
      readonly generation: number;
    }
  /** The catalogue changed since: load it and decide again. */
  | { readonly kind: "stale_catalog" }
  /** Another request with the same key won: read it and start again. */
  | { readonly kind: "stale_idempotency" };

export interface Activation {
  readonly expiresAt: InstantMs;
  readonly sealedHandle: Uint8Array;
  readonly fingerprint: string;
  /** Of a standing secret: its exposure is `unknown` from now until its end was settled. */
  readonly outlivesLease?: boolean;
}
export type ActivateResult =
  | { readonly kind: "active"; readonly lease: LeaseHandle<"active"> }
  | { readonly kind: "withheld"; readonly reason: string }
  | { readonly kind: "refused" };

export interface Denial {
  /** `taskId` is null when the denied request would have opened a task. */
  readonly decision: Decision;
  readonly workload: string;
  /** Null for a decision on administration. */
  readonly role: RoleName | null;
  /** The request's one-time token, if it came with one: a denial uses it up too. */
  readonly tokenUse?: TokenUse;
}

/** A one-time token and the request that it came with: only that one may present it again. */
export interface TokenUse {
  readonly oneTime: NonNullable<VerifiedIdentity["oneTime"]>;
  readonly idempotency: (IdempotencyScope & { readonly bodySha256: string }) | null;
  readonly confirmation: string | null;
}

export interface Renewal {
  readonly leaseId: LeaseId;
  readonly expiresAt: InstantMs;
  readonly decision: Decision;
  readonly catalogVersion: number;
}
export type RecordedRenewal =
  | { readonly kind: "recorded"; readonly sealedHandle: Uint8Array; readonly lease: Lease }
  | { readonly kind: "stale_catalog" };

/** Tasks: read on the primary for every use of a task token, and ended in two commits. */
export interface TaskLedger {
  find(id: TaskId): Promise<Task | null>;
  /**
   * Whom the initiator's own token told of when the first task of a chain was opened, the latest
   * first. Nobody for a task without an initiator, and for one that is not the first.
   */
  initiatorActors(rootId: TaskId): Promise<readonly string[]>;
  /** `ended`: nothing was written. Fresh proof moves `identityProvenAt`. Throws `not_found`. */
  heartbeat(id: TaskId, proof: VerifiedIdentity | null): Promise<"beaten" | "ended">;
  /**
   * First commit: from now on nothing new is reserved, activated, renewed or opened below. The
   * first request stands; a later one, or one for a task that has ended, changes nothing and is
   * told so. Throws `not_found`.
   */
  requestEnd(end: EndRequest): Promise<"requested" | "already">;
  /**
   * Second commit: locks the task and its descendants, sets their states, marks active leases
   * `ending` and reserved ones as to be withheld. Idempotent. Never waits on strangers' exchanges.
   * A descendant whose own end was requested takes that state; any other follows its parent:
   * `killed` or `expired` like it, else `cancelled`. Throws `not_found`, or `conflict` when no end
   * of the task was requested. `leases` are all live ones below it.
   */
  applyEnd(id: TaskId): Promise<AppliedEnd>;
  /** Makes one lease `ending` (or to be withheld). Returns what it now is; null if unknown. */
  endLease(
    id: LeaseId,
    actor: Actor,
    reason: string,
    decisionId?: DecisionId | null,
  ): Promise<Lease | null>;
  /** Leases of the task and all its descendants, newest id first, at most `limit`. */
  leasesBelow(id: TaskId, limit: number): Promise<readonly Lease[]>;
  lease(id: LeaseId): Promise<Lease | null>;
  /**
   * The backend's leases that are ended, ending or stuck, but for what was certainly never minted.
   * Readings of one backend come one after the other, so that what is listed once stays listed
   * until it expires. Throws `busy` where there are more than `ENDED_LEASES_MAX`.
   */
  endedLeases(backendId: BackendId, wanted: EndedLeasesWanted): Promise<EndedLeases>;
}
export interface EndRequest {
  readonly taskId: TaskId;
  readonly state: EndedTaskState;
  readonly actor: Actor;
  readonly reason: string;
  /** By which an administrator may end it; owners need none. */
  readonly decisionId?: DecisionId | null;
}
export interface AppliedEnd {
  readonly ended: readonly TaskId[];
  readonly leases: readonly {
    readonly id: LeaseId;
    readonly backendId: BackendId;
    readonly state: LeaseState;
  }[];
}

/** What became of a listing's marks. Live leases of that backend are in neither list. */
export interface Adopted {
  readonly orphans: readonly LeaseId[];
  /** Leases of another backend, whose marks were found here. */
  readonly unverified: readonly LeaseId[];
}

/** What the worker's passes need. */
export interface SweepLedger {
  /** Tasks past deadline or idle, or with an end request not yet applied; at most `limit`. */
  dueTasks(limit: number): Promise<readonly DueTask[]>;
  /** Marks live leases and active children under tasks that are not active; returns how many. */
  endStrays(limit: number): Promise<number>;
  /** Backends that have due rows, whoever claims them. */
  dueBackends(): Promise<readonly BackendId[]>;
  /**
   * Claims due rows of one backend for `claimSeconds`: active past expiry (now `ending`), reserved
   * past `settleBy` (now `ending`, to recover), ending and stuck past their next attempt. In the
   * order in which they came due; with `from`, only what came due then or later: whoever claims one
   * batch after another spares the ledger the walk over all that is claimed already, and in the end
   * claims without it, since something due earlier may have been held, or come back.
   */
  claim(
    backendId: BackendId,
    limit: number,
    claimSeconds: DurationSeconds,
    from?: InstantMs | null,
  ): Promise<readonly Claim[]>;
  /** False: the claim was lost, and nothing was written. What was `found` leaves it as it is. */
  settle(claim: Claim, outcome: ClaimOutcome | ClaimFound): Promise<boolean>;
  /** The ledger's clock, on the primary, at a time within the call. */
  now(): Promise<InstantMs>;
  /**
   * For each marked object, after the listing and on the primary: is its lease live? The others
   * are orphans: reopened as `ending` with the note `resurfaced`, or given a lease if the row is
   * lost. A mark that names a lease of another backend was copied, and proves nothing: it reopens
   * nothing, changes nothing, and is returned as `unverified`.
   *
   * `listedAt` is what {@link SweepLedger.now} said before the page was listed. What was seen at
   * the backend is an orphan only if its lease had ended before that: one that ended while the page
   * was on its way was rightly there when it was seen. Likewise a lost row counts only if its id is
   * older. What is left out is seen again by the next listing.
   */
  adoptOrphans(
    backendId: BackendId,
    marked: readonly {
      readonly mark: Extract<Marked["mark"], { kind: "ours" }>;
      readonly externalName: string;
      readonly sealedHandle: Uint8Array;
    }[],
    listedAt: InstantMs,
  ): Promise<Adopted>;
  /** `backendId` null: a sweep over the ledger's rows; else one listing of that backend. */
  recordSweep(backendId: BackendId | null): Promise<void>;
}

export type DueTask =
  | { readonly id: TaskId; readonly due: "deadline" | "idle" }
  | { readonly id: TaskId; readonly due: "end_requested" };

export interface Claim {
  readonly leaseId: LeaseId;
  readonly taskId: TaskId | null;
  readonly backendId: BackendId;
  readonly backendRevision: number;
  readonly token: string;
  readonly attempts: number;
  readonly plan: IssuePlan;
  readonly expiresAt: InstantMs;
  /** When it came due to be claimed, never later than it did. */
  readonly dueAt: InstantMs;
  /**
   * How long ago its end was asked for or came due, by the ledger's clock; null for one that
   * resurfaced, whose end was long ago.
   */
  readonly dueForSeconds: number | null;
  readonly work:
    | { readonly kind: "revoke"; readonly sealedHandle: Uint8Array }
    | {
        readonly kind: "recover";
        /** The last checkpoint, or null. */
        readonly sealedHandle: Uint8Array | null;
        /** How long ago its `settleBy` was, by the ledger's clock; never negative. */
        readonly settledForSeconds: number;
        /** What an earlier claim found and was about to destroy, as {@link ClaimFound} told. */
        readonly found: JsonObject | null;
      };
}

/**
 * No end of a claim: something of its lease is at the backend, and is destroyed next. Told first,
 * so that whoever finds nothing after that knows that something had been there.
 */
export interface ClaimFound {
  readonly kind: "found";
  readonly looked: JsonObject;
}

export type ClaimOutcome =
  | { readonly kind: "ended"; readonly outcome: LeaseOutcome; readonly looked: JsonObject }
  /** Not a failure: a quarantine or a propagation runs until then. */
  | {
      readonly kind: "wait";
      readonly seconds: DurationSeconds;
      readonly exposure: Exclude<Exposure, { kind: "none" }>;
    }
  | {
      readonly kind: "failed";
      /** Public text, no secret. */
      readonly error: string;
      readonly retryInSeconds: DurationSeconds;
      readonly stuck: boolean;
    };

/** May this backend issue now? Read at most once a second per backend. */
export interface IssuingHealth {
  read(backendId: BackendId): Promise<IssuingHealthReading>;
}
export interface IssuingHealthReading {
  /** Ages by the ledger's clock; null: never. */
  readonly sweepAgeSeconds: number | null;
  readonly listingAgeSeconds: number | null;
  readonly stuck: number;
}
