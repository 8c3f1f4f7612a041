import type { Json } from "@mayfly/spec";
import type { Statement } from "./sql.ts";

/** For metrics and the operator: how much is live, how much is late, and by how much. */
export async function queryCounts(sql: Statement): Promise<Readonly<Record<string, Json>>> {
  const [row] = await sql<Record<string, Json>[]>`
    SELECT
      count(*) FILTER (WHERE l.state = 'reserved')::integer AS "leasesReserved",
      count(*) FILTER (WHERE l.state = 'active')::integer AS "leasesActive",
      count(*) FILTER (WHERE l.state = 'ending')::integer AS "leasesEnding",
      count(*) FILTER (WHERE l.state = 'stuck')::integer AS "leasesStuck",
      count(*) FILTER (WHERE l.due_at <= now())::integer AS "leasesOverdue",
      coalesce(
        max(extract(epoch FROM now() - l.due_at)) FILTER (WHERE l.due_at <= now()), 0)::float8
        AS "oldestDueSeconds",
      (SELECT count(*)::integer FROM mayfly.tasks AS t WHERE t.state = 'active') AS "tasksActive",
      (SELECT count(*)::integer FROM mayfly.task_end_requests AS r WHERE r.applied_at IS NULL)
        AS "taskEndsOpen",
      (SELECT count(*)::integer FROM (
        SELECT FROM mayfly.events_pending LIMIT 100000) AS p) AS "eventsPending",
      (SELECT entries::float8 FROM mayfly.log_head) AS "logEntries",
      (SELECT coalesce(sum(row_count), 0)::integer FROM mayfly.rows_in_default())
        AS "rowsInDefaultPartitions"
    FROM mayfly.leases AS l WHERE l.state <> 'ended'`;
  return { ...row };
}
