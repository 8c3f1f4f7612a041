import { and, desc, asc, eq, gte, lt, gt, sql, type SQL } from "drizzle-orm";
import type { PostgresJsDatabase } from "drizzle-orm/postgres-js";
import {
  BrokerError,
  idFromUuid,
  uuidOfId,
  type Decision,
  type DecisionId,
  type EventFilter,
  type Lease,
  type LeaseFilter,
  type LedgerEvent,
  type Page,
  type PageRequest,
  type Task,
  type TaskFilter,
} from "@mayfly/spec";
import { encodeCursor, parsePage } from "./cursor.ts";
import { eventOfRow } from "./event-row.ts";
import { idWithin } from "./id-within.ts";
import { leaseOfRow } from "./lease-row.ts";
import { leaseFields, newestLeases } from "./newest-leases.ts";
import { decisions, events, leases, logEntries, tasks } from "./schema.ts";
import { taskOfRow } from "./task-row.ts";

export type Database = PostgresJsDatabase;

const taskFields = {
  id: tasks.id,
  parent_id: tasks.parent_id,
  root_id: tasks.root_id,
  ancestors: tasks.ancestors,
  depth: tasks.depth,
  workload: tasks.workload,
  verified_initiator: tasks.verified_initiator,
  verified_initiator_trust_root: tasks.verified_initiator_trust_root,
  descriptor: tasks.descriptor,
  state: tasks.state,
  confirmation: tasks.confirmation,
  opened_at: tasks.opened_at,
  deadline_at: tasks.deadline_at,
  last_heartbeat_at: tasks.last_heartbeat_at,
  identity_proven_at: tasks.identity_proven_at,
  identity_max_age_seconds: tasks.identity_max_age_seconds,
  ended_at: tasks.ended_at,
  end_reason: tasks.end_reason,
  end_requested: sql<boolean>`EXISTS (
    SELECT FROM mayfly.task_end_requests AS r
    WHERE r.task_id = ANY (${tasks.ancestors} || ${tasks.id}))`,
};

export const eventFields = {
  id: events.id,
  kind: events.kind,
  at: events.at,
  actor: events.actor,
  task_id: events.task_id,
  lease_id: events.lease_id,
  decision_id: events.decision_id,
  data: events.data,
  log_index: logEntries.log_index,
};

export function pageOf<Row extends { readonly id: string }, T>(
  list: string,
  { limit }: PageRequest,
  found: readonly Row[],
  map: (row: Row) => T | null,
): Page<T> {
  const shown = found.slice(0, limit);
  const last = shown.at(-1);
  const more = found.length > limit && last !== undefined;
  const items = shown.map(map).filter((item) => item !== null);
  return { items, next: more ? encodeCursor(list, last.id) : null };
}

/** Newest first. */
export async function queryLeases(
  db: Database,
  filter: LeaseFilter,
  page: PageRequest,
): Promise<Page<Lease>> {
  const { after, read } = parsePage("leases", page);
  return pageOf("leases", page, await newestLeases(db, filter, after, read), leaseOfRow);
}

/** Newest first. */
export async function queryTasks(
  db: Database,
  filter: TaskFilter,
  page: PageRequest,
): Promise<Page<Task>> {
  const { after, read } = parsePage("tasks", page);
  const { initiator } = filter;
  // Verified or claimed: each by its own index, newest first. Asked for both at once, all tasks
  // would be walked through in their order.
  const ways =
    initiator === undefined
      ? [undefined]
      : [eq(tasks.verified_initiator, initiator), eq(tasks.claimed_initiator, initiator)];
  const found = await Promise.all(ways.map((way) => newestTasks(db, filter, way, after, read)));
  const all = new Map(found.flat().map((row) => [row.id, row]));
  const newest = [...all.values()].toSorted((a, b) => (a.id < b.id ? 1 : -1)).slice(0, read);
  return pageOf("tasks", page, newest, taskOfRow);
}

function newestTasks(
  db: Database,
  { workload, ref, state, parentId, from, until }: TaskFilter,
  way: SQL | undefined,
  after: string | null,
  limit: number,
) {
  return db
    .select(taskFields)
    .from(tasks)
    .where(
      and(
        way,
        workload === undefined ? undefined : eq(tasks.workload_name, workload),
        ref === undefined ? undefined : eq(tasks.ref, ref),
        state === undefined ? undefined : eq(tasks.state, state),
        parentId === undefined ? undefined : eq(tasks.parent_id, uuidOfId(parentId)),
        from === undefined ? undefined : gte(tasks.opened_at, from),
        until === undefined ? undefined : lt(tasks.opened_at, until),
        idWithin(tasks.id, from, until),
        after === null ? undefined : lt(tasks.id, after),
      ),
    )
    .orderBy(desc(tasks.id))
    .limit(limit)
    .execute();
}

/** In the order in which they happened. */
export async function queryEvents(
  db: Database,
  filter: EventFilter,
  page: PageRequest,
): Promise<Page<LedgerEvent>> {
  const { after, read } = parsePage("events", page);
  const { taskId, leaseId, kind, from, until } = filter;
  const found = await selectEvents(
    db,
    and(
      taskId === undefined ? undefined : eq(events.task_id, uuidOfId(taskId)),
      leaseId === undefined ? undefined : eq(events.lease_id, uuidOfId(leaseId)),
      kind === undefined ? undefined : eq(events.kind, kind),
      from === undefined ? undefined : gte(events.at, from),
      until === undefined ? undefined : lt(events.at, until),
      idWithin(events.id, from, until),
      after === null ? undefined : gt(events.id, after),
    ),
    read,
  );
  return pageOf("events", page, found, loggedEventOfRow);
}

export const selectEvents = (db: Database, where: SQL | undefined, limit: number) =>
  db
    .select(eventFields)
    .from(events)
    .leftJoin(logEntries, eq(logEntries.event_id, events.id))
    .where(where)
    .orderBy(asc(events.id))
    .limit(limit);

/** Null for one that cannot be read: it is left out of its page, and hides no other. */
export function loggedEventOfRow(
  row: Awaited<ReturnType<typeof selectEvents>>[number],
): LedgerEvent | null {
  try {
    return { ...eventOfRow(row), logIndex: row.log_index };
  } catch (thrown) {
    if (thrown instanceof BrokerError) return null;
    throw thrown;
  }
}

export const selectTasks = (db: Database, where: SQL | undefined, limit: number) =>
  db.select(taskFields).from(tasks).where(where).orderBy(asc(tasks.id)).limit(limit);

export const selectLeases = (db: Database, where: SQL | undefined, limit: number) =>
  db.select(leaseFields).from(leases).where(where).orderBy(asc(leases.id)).limit(limit);

export const selectDecisions = (db: Database, where: SQL | undefined, limit: number) =>
  db.select().from(decisions).where(where).orderBy(asc(decisions.id)).limit(limit);

export const decisionOfRow = (
  row: Awaited<ReturnType<typeof selectDecisions>>[number],
): Decision => ({
  id: idFromUuid("decision", row.id),
  taskId: row.task_id === null ? null : idFromUuid("task", row.task_id),
  request: row.request,
  verdict: row.verdict,
  policyDigest: row.policy_digest,
  decidedAt: row.decided_at,
});

export async function queryDecision(db: Database, id: DecisionId): Promise<Decision | null> {
  const [row] = await selectDecisions(db, eq(decisions.id, uuidOfId(id)), 1);
  return row === undefined ? null : decisionOfRow(row);
}
