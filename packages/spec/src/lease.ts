import type { JsonObject } from "./brand.ts";
import type { BackendId, DecisionId, LeaseId, RoleName, TaskId } from "./ids.ts";
import type { IssuePlan } from "./backend.ts";
import type { InstantMs } from "./time.ts";

export const LEASE_STATES = ["reserved", "active", "ending", "ended", "stuck"] as const;
export type LeaseState = (typeof LEASE_STATES)[number];
export const LIVE_LEASE_STATES = ["reserved", "active", "ending", "stuck"] as const;
export type LiveLeaseState = (typeof LIVE_LEASE_STATES)[number];

/**
 * How a lease ended. `revoked`: a probe saw the refusal. `expired`: the backend itself enforces
 * expiry and it passed by more than the measured margin. `absent`: looked, nothing there.
 * `abandoned`: the backend certainly never acted.
 */
export const LEASE_OUTCOMES = ["revoked", "expired", "absent", "abandoned"] as const;
export type LeaseOutcome = (typeof LEASE_OUTCOMES)[number];

export type ExposureReason =
  | "unsettled"
  | "live"
  | "propagating"
  | "expires_upstream"
  | "gateway_cut"
  | "stuck";

/** What could still be done with a lease's credential. */
export type Exposure =
  | { readonly kind: "none" }
  | { readonly kind: "until"; readonly until: InstantMs; readonly reason: ExposureReason }
  | { readonly kind: "unknown"; readonly reason: ExposureReason };

/**
 * The lease's state machine as data: from each state, the transitions that exist. The ledger's
 * statements, the fake and the property tests all read this table.
 */
export const LEASE_TRANSITIONS = {
  reserved: { activate: "active", withhold: "ending", abandon: "ended", recover: "ending" },
  active: { end: "ending", renew: "active" },
  ending: { settle: "ended", fail: "ending", give_up: "stuck" },
  stuck: { settle: "ended", fail: "stuck" },
  /** A credential that was thought gone came back: an orphan is reopened, never ignored. */
  ended: { resurface: "ending" },
} as const satisfies Readonly<Record<LeaseState, Readonly<Record<string, LeaseState>>>>;

export type LeaseTransition = {
  [S in LeaseState]: keyof (typeof LEASE_TRANSITIONS)[S];
}[LeaseState];

/**
 * A lease as read. No member of it is secret. Task, role, workload and decision are null only where
 * a restore lost the row and `adoptOrphans` made one anew: nothing is known of them then.
 */
export interface Lease {
  readonly id: LeaseId;
  readonly taskId: TaskId | null;
  readonly role: RoleName | null;
  readonly backendId: BackendId;
  readonly backendType: string;
  readonly backendRevision: number;
  readonly workload: string | null;
  readonly decisionId: DecisionId | null;
  readonly state: LeaseState;
  readonly outcome: LeaseOutcome | null;
  readonly exposure: Exposure;
  readonly plan: IssuePlan;
  /** Lowercase hex, keyed; null until active. */
  readonly fingerprint: string | null;
  readonly reservedAt: InstantMs;
  readonly issueBy: InstantMs;
  readonly settleBy: InstantMs;
  readonly activatedAt: InstantMs | null;
  /** When the credential is to stop working; moved only later, and only by renew. */
  readonly expiresAt: InstantMs;
  readonly endRequestedAt: InstantMs | null;
  readonly endReason: string | null;
  readonly endedAt: InstantMs | null;
  readonly attempts: number;
  readonly nextAttemptAt: InstantMs | null;
  readonly lastError: string | null;
  /** What the last probe or recovery looked at. */
  readonly looked: JsonObject | null;
}
