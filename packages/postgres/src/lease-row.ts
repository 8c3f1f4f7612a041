import {
  idFromUuid,
  parseBackendId,
  parseRoleName,
  unreachable,
  type Exposure,
  type InstantMs,
  type IssuePlan,
  type JsonObject,
  type Lease,
  type LeaseOutcome,
  type LeaseState,
} from "@mayfly/spec";
import type { Statement } from "./sql.ts";

/** As selected by {@link leaseColumns}; jsonb columns hold what this package wrote there. */
export interface LeaseRow {
  readonly id: string;
  readonly task_id: string | null;
  readonly workload: string | null;
  readonly role: string | null;
  readonly decision_id: string | null;
  readonly backend_id: string;
  readonly backend_type: string;
  readonly backend_revision: number;
  readonly plan: IssuePlan;
  readonly state: LeaseState;
  readonly outcome: LeaseOutcome | null;
  readonly fingerprint: string | null;
  readonly reserved_at: InstantMs;
  readonly issue_by: InstantMs;
  readonly settle_by: InstantMs;
  readonly activated_at: InstantMs | null;
  readonly expires_at: InstantMs;
  readonly end_requested_at: InstantMs | null;
  readonly end_reason: string | null;
  readonly ended_at: InstantMs | null;
  readonly due_at: InstantMs;
  readonly work: "revoke" | "recover";
  readonly attempts: number;
  readonly last_error: string | null;
  readonly looked: JsonObject | null;
  readonly exposure: Exposure | null;
  readonly past_expiry: boolean;
}

/** The members of a {@link LeaseRow}, of `mayfly.leases AS l`. */
export const leaseColumns = (sql: Statement) => sql`
  l.id, l.task_id, l.workload, l.role, l.decision_id, l.backend_id, l.backend_type,
  l.backend_revision, l.plan, l.state, l.outcome, l.fingerprint, l.reserved_at, l.issue_by,
  l.settle_by, l.activated_at, l.expires_at, l.end_requested_at, l.end_reason, l.ended_at,
  l.due_at, l.work, l.attempts, l.last_error, l.looked, l.exposure,
  l.expires_at <= now() AS past_expiry`;

export function leaseOfRow(row: LeaseRow): Lease {
  return {
    id: idFromUuid("lease", row.id),
    taskId: row.task_id === null ? null : idFromUuid("task", row.task_id),
    role: row.role === null ? null : parseRoleName(row.role, "lease.role"),
    backendId: parseBackendId(row.backend_id, "lease.backend_id"),
    backendType: row.backend_type,
    backendRevision: row.backend_revision,
    workload: row.workload,
    decisionId: row.decision_id === null ? null : idFromUuid("decision", row.decision_id),
    state: row.state,
    outcome: row.outcome,
    exposure: exposureOf(row),
    plan: row.plan,
    fingerprint: row.fingerprint,
    reservedAt: row.reserved_at,
    issueBy: row.issue_by,
    settleBy: row.settle_by,
    activatedAt: row.activated_at,
    expiresAt: row.expires_at,
    endRequestedAt: row.end_requested_at,
    endReason: row.end_reason,
    endedAt: row.ended_at,
    attempts: row.attempts,
    nextAttemptAt: row.state === "ending" || row.state === "stuck" ? row.due_at : null,
    lastError: row.last_error,
    looked: row.looked,
  };
}

/**
 * What could still be done with the credential. A reservation may have been minted by a process
 * that nobody hears from, until somebody looked: `unknown`, also past `settleBy`. A live one works
 * until its expiry; one that should be gone by its expiry and is not is `unknown`, and so is, from
 * its activation, one that outlives its lease.
 */
export function exposureOf(
  row: Pick<LeaseRow, "state" | "exposure" | "work" | "expires_at" | "past_expiry">,
): Exposure {
  const live: Exposure = row.past_expiry
    ? { kind: "unknown", reason: "live" }
    : { kind: "until", until: row.expires_at, reason: "live" };
  switch (row.state) {
    case "ended":
      return { kind: "none" };
    case "reserved":
      return { kind: "unknown", reason: "unsettled" };
    case "active":
      return row.exposure ?? live;
    case "ending":
      if (row.exposure !== null) return row.exposure;
      return row.work === "recover" ? { kind: "unknown", reason: "unsettled" } : live;
    case "stuck":
      return row.exposure ?? { kind: "unknown", reason: "stuck" };
    default:
      return unreachable(row.state);
  }
}
