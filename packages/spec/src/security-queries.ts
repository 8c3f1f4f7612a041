import type { BackendId, DecisionId, LeaseId, PolicyId, RoleName, TaskId } from "./ids.ts";
import type { Lease } from "./lease.ts";
import type { LeaseFilter, Page, PageRequest } from "./ledger-queries.ts";
import type { LedgerEvent } from "./ledger-event.ts";
import type { ExposureSummary } from "./selector-end.ts";
import type { TaskState } from "./task.ts";
import type { InstantMs } from "./time.ts";

/** A lease, on whose behalf it was issued, for which task and under which policy. */
export interface Holder {
  readonly lease: Lease;
  /** Null only where a restore lost the lease's row. */
  readonly task: {
    readonly id: TaskId;
    readonly state: TaskState;
    readonly goal: string;
    readonly ref: string | null;
    readonly trustRoot: string;
  } | null;
  readonly initiator: { readonly name: string; readonly basis: "verified" | "claimed" } | null;
  readonly policy: {
    readonly digest: string;
    readonly determining: readonly PolicyId[];
  } | null;
}

/** One thing that a workload asked for. */
export type Touch =
  | { readonly kind: "lease"; readonly at: InstantMs; readonly holder: Holder }
  | {
      readonly kind: "denial";
      readonly at: InstantMs;
      readonly decisionId: DecisionId;
      readonly role: string | null;
      readonly taskId: TaskId | null;
      readonly determining: readonly PolicyId[];
      readonly policyDigest: string;
    };

export interface TouchFilter {
  readonly workload: string;
  readonly from?: InstantMs;
  readonly until?: InstantMs;
}

/** What somebody who has taken over a workload could do now. */
export interface WorkloadExposure {
  readonly workload: string;
  readonly asOf: InstantMs;
  /** Its own leases. */
  readonly leases: ExposureSummary;
  /** Leases of others below its tasks: they were drawn on what it handed on, and end with it. */
  readonly below: ExposureSummary;
  /** Counted up to {@link EXPOSED_TASKS_MAX}. */
  readonly tasksActive: number;
  /** The latest deadline of these; null for none. */
  readonly tasksUntil: InstantMs | null;
  /** Roles that these tasks declared: more credentials may be drawn under them. */
  readonly mayDraw: readonly RoleName[];
}
export const EXPOSED_TASKS_MAX = 10_000;

/** The least lateness that is asked for, in seconds. */
export const LATE_SECONDS_MIN = 1;

export interface LateEndFilter {
  /** At least {@link LATE_SECONDS_MIN}. */
  readonly overSeconds: number;
  readonly backendId?: BackendId;
  readonly workload?: string;
  /** Of when it was due. */
  readonly from?: InstantMs;
  readonly until?: InstantMs;
}
export interface LateEnd {
  readonly lease: Lease;
  /**
   * When it should have ended: its expiry, or when its end was requested if that was earlier;
   * `settleBy` of one that was never activated.
   */
  readonly dueAt: InstantMs;
  /** Until it ended, or until now. */
  readonly lateSeconds: number;
  readonly why: LateReason;
}
/**
 * `failed_attempts`: the backend refused or did not answer, see `lastError`. `propagating`: the
 * backend needs its time. `resurfaced`: it was found again after its end. `not_reached`: no attempt
 * failed; nobody came to it sooner.
 */
export type LateReason = "failed_attempts" | "propagating" | "resurfaced" | "not_reached";

/** How often each policy of one set determined a decision. */
export interface PolicyUse {
  readonly digest: string;
  /** Decisions are counted in the order of the log; these entries of it are not counted yet. */
  readonly uncounted: number;
  readonly policies: readonly {
    readonly id: PolicyId;
    /** Under this set. */
    readonly permits: number;
    readonly denials: number;
    /** Under whichever set had a policy of this id. */
    readonly permitsEver: number;
    readonly denialsEver: number;
    readonly lastAt: InstantMs | null;
  }[];
}

export interface AdministrationFilter {
  /** Name of the administrator. */
  readonly actor?: string;
  readonly from?: InstantMs;
  readonly until?: InstantMs;
}

/** What security teams ask, one method for each question. Newest first. */
export interface SecurityQueries {
  /** Who holds what, on whose behalf, under which policy. */
  holders(filter: LeaseFilter, page: PageRequest): Promise<Page<Holder>>;
  /** Everything that a workload touched. */
  touched(filter: TouchFilter, page: PageRequest): Promise<Page<Touch>>;
  /** What is exposed if a workload is compromised. */
  exposure(workload: string): Promise<WorkloadExposure>;
  /** Which leases ended late, or are late now. */
  lateEnds(filter: LateEndFilter, page: PageRequest): Promise<Page<LateEnd>>;
  /** Which policies never permitted anything: in the order of `policyIds`. */
  policyUse(digest: string, policyIds: readonly PolicyId[]): Promise<PolicyUse>;
  /** What changed in the configuration, and who did it. */
  administration(filter: AdministrationFilter, page: PageRequest): Promise<Page<LedgerEvent>>;
  /** Where a leaked credential came from. */
  byFingerprint(fingerprints: readonly string[], limit: number): Promise<readonly Holder[]>;
  byLeaseId(ids: readonly LeaseId[]): Promise<readonly Holder[]>;
}
