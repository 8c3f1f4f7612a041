import { promptEnd } from "./prompt-end.ts";
import type { Sql, Transaction } from "./sql.ts";

/**
 * What no end should have left behind: active children below a task that is not active, and live
 * leases below one. Answers how many it marked.
 */
export function endStrays(sql: Sql, limit: number): Promise<number> {
  return sql.begin(async (tx) => {
    const children = await endChildren(tx, limit);
    const leases = await endLeases(tx, limit);
    await promptEnd(tx);
    return children + leases;
  });
}

async function endChildren(sql: Transaction, limit: number): Promise<number> {
  const [row] = await sql<{ ended: number }[]>`
    WITH stray AS MATERIALIZED (
      SELECT t.id FROM mayfly.tasks AS t
      WHERE t.state = 'active' AND t.depth > 0 AND EXISTS (
        SELECT FROM mayfly.tasks AS a WHERE a.id = ANY (t.ancestors) AND a.state <> 'active')
      ORDER BY t.depth, t.id LIMIT ${limit}::integer
      FOR UPDATE OF t SKIP LOCKED
    ), ended AS (
      UPDATE mayfly.tasks AS t
      SET ended_at = now(), end_reason = 'a task above it ended',
        state = (
          SELECT CASE WHEN a.state IN ('killed', 'expired') THEN a.state ELSE 'cancelled' END
          FROM mayfly.tasks AS a WHERE a.id = ANY (t.ancestors) AND a.state <> 'active'
          ORDER BY a.depth DESC LIMIT 1)
      FROM stray WHERE t.id = stray.id
      RETURNING t.id, t.state
    ), told AS (
      INSERT INTO mayfly.events (kind, actor, task_id, data)
      SELECT 'task.ended', '{"kind": "system", "name": "sweep"}', id,
        jsonb_build_object('state', state, 'reason', 'a task above it ended')
      FROM ended
    )
    SELECT count(*)::integer AS ended FROM ended`;
  return row?.ended ?? 0;
}

async function endLeases(sql: Transaction, limit: number): Promise<number> {
  const [row] = await sql<{ ended: number }[]>`
    WITH stray AS MATERIALIZED (
      SELECT l.id FROM mayfly.leases AS l JOIN mayfly.tasks AS t ON t.id = l.task_id
      WHERE (l.state = 'active' OR (l.state = 'reserved' AND l.end_requested_at IS NULL))
        AND t.state <> 'active'
      ORDER BY l.id LIMIT ${limit}::integer
      FOR NO KEY UPDATE OF l SKIP LOCKED
    ), ended AS (
      UPDATE mayfly.leases AS l
      SET end_requested_at = coalesce(l.end_requested_at, now()),
        end_reason = coalesce(l.end_reason, 'its task is not active'),
        state = CASE l.state WHEN 'active' THEN 'ending' ELSE l.state END,
        due_at = CASE l.state WHEN 'active' THEN now() ELSE l.due_at END,
        version = l.version + CASE l.state WHEN 'active' THEN 1 ELSE 0 END
      FROM stray WHERE l.id = stray.id
      RETURNING l.id, l.task_id, l.state
    ), told AS (
      INSERT INTO mayfly.events (kind, actor, task_id, lease_id, data)
      SELECT 'lease.ending', '{"kind": "system", "name": "sweep"}', task_id, id,
        '{"reason": "its task is not active"}'
      FROM ended WHERE state = 'ending'
    )
    SELECT count(*)::integer AS ended FROM ended`;
  return row?.ended ?? 0;
}
