import { and, desc, eq, gte, inArray, lt, ne, sql, type SQL } from "drizzle-orm";
import { uuidOfId, type LeaseFilter } from "@mayfly/spec";
import { idWithin } from "./id-within.ts";
import type { LeaseRow } from "./lease-row.ts";
import type { Database } from "./queries.ts";
import { leases, tasks } from "./schema.ts";

export const leaseFields = {
  id: leases.id,
  task_id: leases.task_id,
  workload: leases.workload,
  role: leases.role,
  decision_id: leases.decision_id,
  backend_id: leases.backend_id,
  backend_type: leases.backend_type,
  backend_revision: leases.backend_revision,
  plan: leases.plan,
  state: leases.state,
  outcome: leases.outcome,
  fingerprint: leases.fingerprint,
  reserved_at: leases.reserved_at,
  issue_by: leases.issue_by,
  settle_by: leases.settle_by,
  activated_at: leases.activated_at,
  expires_at: leases.expires_at,
  end_requested_at: leases.end_requested_at,
  end_reason: leases.end_reason,
  ended_at: leases.ended_at,
  due_at: leases.due_at,
  work: leases.work,
  attempts: leases.attempts,
  last_error: leases.last_error,
  looked: leases.looked,
  exposure: leases.exposure,
  past_expiry: sql<boolean>`${leases.expires_at} <= now()`,
};

/**
 * So many active tasks of one initiator are asked for one by one what they hold. Whoever has more
 * has much of all that lives, and is found among it soon.
 */
const ACTIVE_TASKS_MAX = 1000;

/** Newest first. Each way of asking has its index; joins come after, for these rows alone. */
export async function newestLeases(
  db: Database,
  filter: LeaseFilter,
  after: string | null,
  limit: number,
): Promise<readonly LeaseRow[]> {
  const { initiator } = filter;
  const select = (way?: SQL): Promise<LeaseRow[]> =>
    db
      .select(leaseFields)
      .from(leases)
      .where(and(way, conditions(filter), after === null ? undefined : lt(leases.id, after)))
      .orderBy(desc(leases.id))
      .limit(limit)
      .execute();
  if (initiator === undefined) return select();
  if (!isLive(filter)) return select(sql`${leases.task_id} = ANY (ARRAY(${tasksOf(initiator)}))`);
  const active = await activeTasksOf(db, initiator);
  if (active.length > ACTIVE_TASKS_MAX) {
    return select(sql`${leases.task_id} IN (${tasksOf(initiator)})`);
  }
  // In this order: what leaves in between is found twice, and never not at all.
  const held = active.length === 0 ? [] : await select(inArray(leases.task_id, active));
  const leaving = await select(sql`${isLeaving} AND EXISTS (
    SELECT FROM ${tasks} WHERE ${tasks.id} = ${leases.task_id} AND ${isOf(initiator)})`);
  const all = new Map([...held, ...leaving].map((row) => [row.id, row]));
  return [...all.values()].toSorted((a, b) => (a.id < b.id ? 1 : -1)).slice(0, limit);
}

/** As the index `leases_leaving` has it: every live lease whose task is not active is among it. */
const isLeaving = sql`(${leases.state} IN ('ending', 'stuck')
  OR ${leases.end_requested_at} IS NOT NULL)`;

/** Verified or claimed: the task itself says which. */
const isOf = (initiator: string) =>
  sql`(${tasks.verified_initiator} = ${initiator} OR ${tasks.claimed_initiator} = ${initiator})`;

/** By one index each. */
const tasksOf = (initiator: string) => sql`
  SELECT ${tasks.id} FROM ${tasks} WHERE ${tasks.verified_initiator} = ${initiator}
  UNION ALL
  SELECT ${tasks.id} FROM ${tasks} WHERE ${tasks.claimed_initiator} = ${initiator}`;

async function activeTasksOf(db: Database, initiator: string): Promise<readonly string[]> {
  const ways = [eq(tasks.verified_initiator, initiator), eq(tasks.claimed_initiator, initiator)];
  const found = await Promise.all(
    ways.map((way) =>
      db
        .select({ id: tasks.id })
        .from(tasks)
        .where(and(way, sql`${tasks.state} = 'active'`))
        .limit(ACTIVE_TASKS_MAX + 1)
        .execute(),
    ),
  );
  return [...new Set(found.flat().map(({ id }) => id))];
}

const isLive = ({ exposed, state }: LeaseFilter): boolean =>
  exposed === true || (state !== undefined && state !== "ended");

function conditions(filter: LeaseFilter): SQL | undefined {
  const { taskId, workload, backendId, role, state, exposed, fingerprint } = filter;
  return and(
    taskId === undefined ? undefined : eq(leases.task_id, uuidOfId(taskId)),
    workload === undefined ? undefined : eq(leases.workload, workload),
    backendId === undefined ? undefined : eq(leases.backend_id, backendId),
    role === undefined ? undefined : eq(leases.role, role),
    state === undefined ? undefined : eq(leases.state, state),
    // Written out: by it the planner knows the indices of what lives.
    isLive(filter) ? ne(leases.state, sql`'ended'`) : undefined,
    exposed === false ? eq(leases.state, sql`'ended'`) : undefined,
    fingerprint === undefined ? undefined : eq(leases.fingerprint, fingerprint),
    filter.from === undefined ? undefined : gte(leases.reserved_at, filter.from),
    filter.until === undefined ? undefined : lt(leases.reserved_at, filter.until),
    // A lease whose lost row an orphan brought back has an old id and is reserved now.
    isLive(filter) ? undefined : idWithin(leases.id, filter.from, filter.until),
  );
}
