import { uuidOfId, type Actor, type EventKind, type JsonObject } from "@mayfly/spec";
import type { DecisionId, LeaseId, TaskId } from "@mayfly/spec";
import { rows, type Fragment, type Statement } from "./sql.ts";

export interface NewEvent {
  readonly kind: EventKind;
  readonly actor: Actor;
  readonly taskId?: TaskId | null;
  readonly leaseId?: LeaseId | null;
  readonly decisionId?: DecisionId | null;
  readonly data: JsonObject;
}

export const BROKER: Actor = { kind: "system", name: "broker" };
export const WORKER: Actor = { kind: "system", name: "worker" };
export const SWEEP: Actor = { kind: "system", name: "sweep" };
export const MIGRATOR: Actor = { kind: "system", name: "migrator" };

/** Appends to the history, in the transaction of the transition that the events tell of. */
export async function appendEvents(sql: Statement, events: readonly NewEvent[]): Promise<void> {
  if (events.length > 0) await insertEvents(sql, events);
}

/** The statement of {@link appendEvents}, not sent yet; all of it `onlyIf` that WHERE holds. */
export function insertEvents(
  sql: Statement,
  events: readonly NewEvent[],
  onlyIf: Fragment = sql``,
) {
  const values = events.map((event) => ({
    kind: event.kind,
    actor: event.actor,
    task_id: event.taskId ? uuidOfId(event.taskId) : null,
    lease_id: event.leaseId ? uuidOfId(event.leaseId) : null,
    decision_id: event.decisionId ? uuidOfId(event.decisionId) : null,
    data: event.data,
  }));
  return sql`
    INSERT INTO mayfly.events (kind, actor, task_id, lease_id, decision_id, data)
    SELECT kind, actor, task_id, lease_id, decision_id, data
    FROM jsonb_to_recordset(${rows(values)}::text::jsonb) AS e (
      kind text, actor jsonb, task_id uuid, lease_id uuid, decision_id uuid, data jsonb)
    ${onlyIf}`;
}
