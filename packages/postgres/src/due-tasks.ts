import { idFromUuid, type DueTask } from "@mayfly/spec";
import { outageSoFar } from "./ledger-clock.ts";
import type { Statement } from "./sql.ts";

export const DUE_TASKS_MAX = 1000;

/** Most urgent first: ends that were requested and not applied, then deadlines, then idleness. */
export async function dueTasks(
  sql: Statement,
  limit: number,
  intervalSeconds: number,
): Promise<readonly DueTask[]> {
  const due = await sql<{ id: string; due: DueTask["due"] }[]>`
    WITH clock AS (
      SELECT ${outageSoFar(sql, intervalSeconds)} AS outage_seconds
    ), due AS (
      (SELECT r.task_id AS id, 'end_requested' AS due, 0 AS rank, r.requested_at AS since
        FROM mayfly.task_end_requests AS r WHERE r.applied_at IS NULL
        ORDER BY r.requested_at LIMIT ${limit}::integer)
      UNION ALL
      (SELECT t.id, 'deadline', 1, t.deadline_at FROM mayfly.tasks AS t
        WHERE t.state = 'active' AND t.deadline_at <= now()
        ORDER BY t.deadline_at LIMIT ${limit}::integer)
      UNION ALL
      (SELECT t.id, 'idle', 2, t.last_heartbeat_at FROM mayfly.tasks AS t, clock AS c
        WHERE t.state = 'active' AND t.deadline_at > now()
          AND extract(epoch FROM now() - t.last_heartbeat_at)::float8
            - (c.outage_seconds - t.heartbeat_outage_seconds) >= t.idle_timeout_seconds
        LIMIT ${limit}::integer)
    )
    SELECT id, due FROM (
      SELECT DISTINCT ON (id) id, due, rank, since FROM due ORDER BY id, rank) AS first
    ORDER BY rank, since LIMIT ${limit}::integer`;
  return due.map((row) => ({ id: idFromUuid("task", row.id), due: row.due }));
}
