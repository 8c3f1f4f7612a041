import {
  idFromUuid,
  type Actor,
  type EventKind,
  type InstantMs,
  type JsonObject,
} from "@mayfly/spec";
import type { LoggedEvent } from "./leaf-hash.ts";

/** Columns of `mayfly.events`; jsonb columns hold what this package wrote there. */
export interface EventRow {
  readonly id: string;
  readonly kind: EventKind;
  readonly at: InstantMs;
  readonly actor: Actor;
  readonly task_id: string | null;
  readonly lease_id: string | null;
  readonly decision_id: string | null;
  readonly data: JsonObject;
}

/** With what its leaf hash is made of beside, if that is of version 2. */
export interface SaltedRow extends EventRow {
  readonly salt: Uint8Array | null;
}

export function eventOfRow(row: EventRow): LoggedEvent {
  return {
    id: idFromUuid("event", row.id),
    kind: row.kind,
    at: row.at,
    actor: row.actor,
    taskId: row.task_id === null ? null : idFromUuid("task", row.task_id),
    leaseId: row.lease_id === null ? null : idFromUuid("lease", row.lease_id),
    decisionId: row.decision_id === null ? null : idFromUuid("decision", row.decision_id),
    data: row.data,
  };
}
