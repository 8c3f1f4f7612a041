import {
  durationSeconds,
  idFromUuid,
  type InstantMs,
  type Task,
  type TaskDescriptor,
  type TaskState,
  type TrustRootName,
  type Workload,
} from "@mayfly/spec";
import type { Statement } from "./sql.ts";

/** As selected by {@link taskColumns}; jsonb columns hold what this package wrote there. */
export interface TaskRow {
  readonly id: string;
  readonly parent_id: string | null;
  readonly root_id: string;
  readonly ancestors: readonly string[];
  readonly depth: number;
  readonly workload: Workload;
  readonly verified_initiator: string | null;
  readonly verified_initiator_trust_root: TrustRootName | null;
  readonly descriptor: TaskDescriptor;
  readonly state: TaskState;
  readonly end_requested: boolean;
  readonly confirmation: string | null;
  readonly opened_at: InstantMs;
  readonly deadline_at: InstantMs;
  readonly last_heartbeat_at: InstantMs;
  readonly identity_proven_at: InstantMs;
  readonly identity_max_age_seconds: number;
  readonly ended_at: InstantMs | null;
  readonly end_reason: string | null;
}

/** The members of a {@link TaskRow}, of `mayfly.tasks AS t`. */
export const taskColumns = (sql: Statement) => sql`
  t.id, t.parent_id, t.root_id, t.ancestors, t.depth, t.workload, t.verified_initiator,
  t.verified_initiator_trust_root,
  t.descriptor, t.state, t.confirmation, t.opened_at, t.deadline_at, t.last_heartbeat_at,
  t.identity_proven_at, t.identity_max_age_seconds, t.ended_at, t.end_reason,
  EXISTS (
    SELECT FROM mayfly.task_end_requests AS r WHERE r.task_id = ANY (t.ancestors || t.id)
  ) AS end_requested`;

export function taskOfRow(row: TaskRow): Task {
  return {
    id: idFromUuid("task", row.id),
    parentId: row.parent_id === null ? null : idFromUuid("task", row.parent_id),
    rootId: idFromUuid("task", row.root_id),
    ancestors: row.ancestors.map((id) => idFromUuid("task", id)),
    depth: row.depth,
    workload: row.workload,
    verifiedInitiator: row.verified_initiator,
    initiatorTrustRoot: row.verified_initiator_trust_root,
    descriptor: row.descriptor,
    state: row.state,
    endRequested: row.end_requested,
    confirmation: row.confirmation,
    openedAt: row.opened_at,
    deadlineAt: row.deadline_at,
    lastHeartbeatAt: row.last_heartbeat_at,
    identityProvenAt: row.identity_proven_at,
    identityMaxAgeSeconds: durationSeconds(row.identity_max_age_seconds),
    endedAt: row.ended_at,
    endReason: row.end_reason,
  };
}
