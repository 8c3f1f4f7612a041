import type { Explanation } from "@mayfly/core";
import {
  workloadName,
  type Decision,
  type Exposure,
  type InstantMs,
  type Lease,
  type LedgerCounts,
  type LedgerEvent,
  type LogVerification,
  type Task,
} from "@mayfly/spec";
import type { explanationAnswer } from "../schemas/answers-administration.ts";
import type {
  countsAnswer,
  decisionAnswer,
  eventAnswer,
  exposureAnswer,
  leaseAnswer,
  taskAnswer,
  verifyAnswer,
} from "../schemas/answers.ts";
import type { View } from "../schemas/view.ts";

/** An instant as people and other programs read it: RFC 3339, UTC, milliseconds. */
export const instantText = (at: InstantMs): string => new Date(at).toISOString();
const instantOrNull = (at: InstantMs | null): string | null =>
  at === null ? null : instantText(at);

export const taskView = (task: Task): View<typeof taskAnswer> => ({
  id: task.id,
  state: task.state,
  end_requested: task.endRequested,
  goal: task.descriptor.goal,
  ref: task.descriptor.ref,
  parent: task.parentId,
  root: task.rootId,
  depth: task.depth,
  workload: workloadName(task.workload),
  initiator:
    task.verifiedInitiator === null
      ? task.descriptor.claimedInitiator === null
        ? null
        : { name: task.descriptor.claimedInitiator, basis: "claimed" }
      : { name: task.verifiedInitiator, basis: "verified" },
  impersonates: task.descriptor.impersonate === true,
  targets: task.descriptor.targets,
  credentials: task.descriptor.credentials.map((credential) => ({
    role: credential.role,
    params: credential.params,
    ttl_seconds: credential.ttlSeconds,
    issue: credential.issue,
  })),
  opened_at: instantText(task.openedAt),
  deadline: instantText(task.deadlineAt),
  idle_timeout_seconds: task.descriptor.idleTimeoutSeconds,
  last_heartbeat_at: instantText(task.lastHeartbeatAt),
  ended_at: instantOrNull(task.endedAt),
  end_reason: task.endReason,
});

export const exposureView = (exposure: Exposure): View<typeof exposureAnswer> => {
  switch (exposure.kind) {
    case "none":
      return { kind: "none" };
    case "until":
      return { kind: "until", until: instantText(exposure.until), reason: exposure.reason };
    case "unknown":
      return { kind: "unknown", reason: exposure.reason };
  }
};

export const leaseView = (lease: Lease): View<typeof leaseAnswer> => ({
  id: lease.id,
  task: lease.taskId,
  role: lease.role,
  backend: lease.backendId,
  backend_type: lease.backendType,
  backend_revision: lease.backendRevision,
  workload: lease.workload,
  decision: lease.decisionId,
  state: lease.state,
  outcome: lease.outcome,
  exposure: exposureView(lease.exposure),
  external_name: lease.plan.externalName,
  grant: lease.plan.grant,
  fingerprint: lease.fingerprint,
  reserved_at: instantText(lease.reservedAt),
  activated_at: instantOrNull(lease.activatedAt),
  expires_at: instantText(lease.expiresAt),
  end_requested_at: instantOrNull(lease.endRequestedAt),
  end_reason: lease.endReason,
  ended_at: instantOrNull(lease.endedAt),
  attempts: lease.attempts,
  next_attempt_at: instantOrNull(lease.nextAttemptAt),
  last_error: lease.lastError,
  looked: lease.looked,
});

export const decisionView = (decision: Decision): View<typeof decisionAnswer> => ({
  id: decision.id,
  task: decision.taskId,
  effect: decision.verdict.effect,
  why: decision.verdict.effect === "deny" ? decision.verdict.why : null,
  determining_policies: decision.verdict.determining,
  explanation: decision.verdict.explanation,
  policy_digest: decision.policyDigest,
  request: decision.request,
  decided_at: instantText(decision.decidedAt),
});

export const eventView = (event: LedgerEvent): View<typeof eventAnswer> => ({
  id: event.id,
  kind: event.kind,
  at: instantText(event.at),
  actor: { kind: event.actor.kind, name: event.actor.name },
  task: event.taskId,
  lease: event.leaseId,
  decision: event.decisionId,
  data: event.data,
  log_index: event.logIndex,
});

export const explanationView = (explanation: Explanation): View<typeof explanationAnswer> => ({
  workload: explanation.workload,
  task: explanation.taskId,
  deadline: instantText(explanation.deadlineAt),
  policy_digest: explanation.policyDigest,
  impersonation:
    explanation.impersonation === null
      ? null
      : {
          effect: explanation.impersonation.effect,
          explanation: explanation.impersonation.explanation,
          determining_policies: explanation.impersonation.determining,
        },
  credentials: explanation.credentials.map(({ role, effect, determining, would, ...rest }) => ({
    role,
    effect,
    explanation: rest.explanation,
    determining_policies: determining,
    would:
      would === null
        ? null
        : {
            grant: would.grant,
            kind: would.kind,
            expires_at: instantText(would.expiresAt),
            expiry_enforced_by: would.expiryEnforcedBy,
            revocation: would.revocation,
            paused_because: would.pausedBecause,
          },
  })),
});

export const countsView = (counts: LedgerCounts): View<typeof countsAnswer> => ({
  leases_reserved: counts.leasesReserved,
  leases_active: counts.leasesActive,
  leases_ending: counts.leasesEnding,
  leases_stuck: counts.leasesStuck,
  leases_overdue: counts.leasesOverdue,
  oldest_due_seconds: counts.oldestDueSeconds,
  tasks_active: counts.tasksActive,
  task_ends_open: counts.taskEndsOpen,
  events_pending: counts.eventsPending,
  oldest_pending_seconds: counts.oldestPendingSeconds,
  log_entries: counts.logEntries,
  rows_in_default_partitions: counts.rowsInDefaultPartitions,
  sweep_age_seconds: counts.sweepAgeSeconds,
  backends: counts.backends.map((backend) => ({
    backend: backend.id,
    leases_stuck: backend.leasesStuck,
    listing_age_seconds: backend.listingAgeSeconds,
  })),
});

export const verificationView = (result: LogVerification): View<typeof verifyAnswer> =>
  result.ok
    ? {
        ok: true,
        from: result.from,
        entries: result.entries,
        head_sha256: result.headSha256,
        pending: result.pending,
        oldest_pending_seconds: result.oldestPendingSeconds,
        warning: result.warning,
      }
    : { ok: false, log_index: result.logIndex, problem: result.problem };
