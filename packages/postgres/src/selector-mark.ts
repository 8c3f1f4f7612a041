import {
  idFromUuid,
  parseBackendId,
  uuidOfId,
  type Actor,
  type EndTarget,
  type MarkedMembers,
  type SelectorEndId,
} from "@mayfly/spec";
import { promptEnd } from "./prompt-end.ts";
import { noSuchEnd } from "./selector-request.ts";
import { json, type Sql, type Statement, type Transaction } from "./sql.ts";

/** Of one transaction, and of the locks that it holds. */
export const MARK_MAX = 1000;
/** Counted no further. */
const PENDING_COUNTED_MAX = 10_000;

interface EndFacts {
  readonly target: EndTarget;
  readonly actor: Actor;
  readonly reason: string;
}

/** See `SelectorEndLedger.mark`. */
export function markMembers(
  sql: Sql,
  id: SelectorEndId,
  limit: number,
  locked: "skip" | "wait",
): Promise<MarkedMembers> {
  return sql.begin(async (tx) => {
    const [end] = await tx<EndFacts[]>`
      UPDATE mayfly.selector_ends SET touched_at = now() WHERE id = ${uuidOfId(id)}::uuid
      RETURNING target, actor, reason`;
    if (end === undefined) throw noSuchEnd();
    const batch = { id: uuidOfId(id), most: Math.min(limit, MARK_MAX), end };
    const done =
      end.target === "tasks" ? await markTasks(tx, batch) : await markLeases(tx, batch, locked);
    const pending = await countPending(tx, batch.id);
    await promptEnd(tx);
    return { ...done, pending };
  });
}

interface Batch {
  readonly id: string;
  readonly most: number;
  readonly end: EndFacts;
}
type Marked = Omit<MarkedMembers, "pending">;

/**
 * Leases by id, as everywhere; a member that ended or is ending by now is merely ticked off: by an
 * array, since a join was planned as reading all members of the end for each one of the batch.
 */
async function markLeases(
  sql: Transaction,
  { id, most, end }: Batch,
  locked: "skip" | "wait",
): Promise<Marked> {
  const [row] = await sql<{ marked: number; backends: readonly string[] }[]>`
    WITH batch AS MATERIALIZED (
      SELECT member_id FROM mayfly.selector_end_members
      WHERE end_id = ${id}::uuid AND kind = 'lease' AND pending
      ORDER BY member_id LIMIT ${most}::integer
    ), held AS MATERIALIZED (
      SELECT l.id FROM mayfly.leases AS l
      WHERE l.id IN (SELECT member_id FROM batch)
      ORDER BY l.id FOR NO KEY UPDATE OF l ${locked === "skip" ? sql`SKIP LOCKED` : sql``}
    ), ended AS (
      UPDATE mayfly.leases AS l
      SET end_requested_at = coalesce(l.end_requested_at, now()),
        end_reason = coalesce(l.end_reason, ${end.reason}),
        state = CASE l.state WHEN 'active' THEN 'ending' ELSE l.state END,
        due_at = CASE l.state WHEN 'active' THEN now() ELSE l.due_at END,
        version = l.version + CASE l.state WHEN 'active' THEN 1 ELSE 0 END
      FROM held WHERE l.id = held.id AND l.state IN ('reserved', 'active')
      RETURNING l.id, l.task_id, l.backend_id, l.state
    ), told AS (
      INSERT INTO mayfly.events (kind, actor, task_id, lease_id, data)
      SELECT 'lease.ending', ${json(end.actor)}::text::jsonb, task_id, id,
        jsonb_build_object('reason', ${end.reason}::text, 'end',
          'end_' || replace(${id}::text, '-', ''))
      FROM ended WHERE state = 'ending' ORDER BY id
    ), ticked AS (
      UPDATE mayfly.selector_end_members AS m SET pending = false
      WHERE m.end_id = ${id}::uuid AND m.kind = 'lease'
        AND m.member_id = ANY (ARRAY(SELECT id FROM held))
    )
    SELECT (SELECT count(*)::integer FROM held) AS marked,
      ARRAY(SELECT DISTINCT backend_id FROM ended WHERE state = 'ending') AS backends`;
  return {
    marked: row?.marked ?? 0,
    taskIds: [],
    backendIds: (row?.backends ?? []).map((backend) => parseBackendId(backend, "lease.backend_id")),
  };
}

/** The first of the two commits of each task's end: locks no task, so no exchange delays it. */
async function markTasks(sql: Transaction, { id, most, end }: Batch): Promise<Marked> {
  const marked = await sql<{ id: string }[]>`
    WITH batch AS MATERIALIZED (
      SELECT member_id FROM mayfly.selector_end_members
      WHERE end_id = ${id}::uuid AND kind = 'task' AND pending
      ORDER BY member_id LIMIT ${most}::integer
      FOR UPDATE SKIP LOCKED
    ), requested AS (
      INSERT INTO mayfly.task_end_requests (task_id, state, actor, reason)
      SELECT t.id, 'killed', ${json(end.actor)}::text::jsonb, ${end.reason}
      FROM mayfly.tasks AS t WHERE t.id IN (SELECT member_id FROM batch) AND t.state = 'active'
      ORDER BY t.id
      ON CONFLICT DO NOTHING
      RETURNING task_id
    ), told AS (
      INSERT INTO mayfly.events (kind, actor, task_id, data)
      SELECT 'task.end_requested', ${json(end.actor)}::text::jsonb, task_id,
        jsonb_build_object('state', 'killed', 'reason', ${end.reason}::text, 'end',
          'end_' || replace(${id}::text, '-', ''))
      FROM requested ORDER BY task_id
    ), ticked AS (
      UPDATE mayfly.selector_end_members AS m SET pending = false
      WHERE m.end_id = ${id}::uuid AND m.kind = 'task'
        AND m.member_id = ANY (ARRAY(SELECT member_id FROM batch))
    )
    SELECT member_id AS id FROM batch ORDER BY member_id`;
  return {
    marked: marked.length,
    taskIds: marked.map((row) => idFromUuid("task", row.id)),
    backendIds: [],
  };
}

async function countPending(sql: Statement, id: string): Promise<number> {
  const [row] = await sql<{ pending: number }[]>`
    SELECT count(*)::integer AS pending FROM (
      SELECT FROM mayfly.selector_end_members WHERE end_id = ${id}::uuid AND pending
      LIMIT ${PENDING_COUNTED_MAX}) AS left_over`;
  return row?.pending ?? 0;
}
