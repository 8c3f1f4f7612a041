import type { LedgerCounts } from "@mayfly/spec";
import { OWN_ROWS } from "./issuing-health.ts";
import type { Statement } from "./sql.ts";

/** For metrics and the operator: how much is live, how much is late, and by how much. */
export async function queryCounts(sql: Statement): Promise<LedgerCounts> {
  const [row] = await sql<LedgerCounts[]>`
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
      coalesce((SELECT greatest(0, extract(epoch FROM now() - e.at)) FROM mayfly.events AS e
        WHERE e.id = (SELECT event_id FROM mayfly.events_pending ORDER BY event_id LIMIT 1)
        ), 0)::float8 AS "oldestPendingSeconds",
      (SELECT entries::float8 FROM mayfly.log_head) AS "logEntries",
      (SELECT coalesce(sum(row_count), 0)::integer FROM mayfly.rows_in_default())
        AS "rowsInDefaultPartitions",
      (SELECT extract(epoch FROM now() - finished_at)::float8 FROM mayfly.sweeps
        WHERE backend_id = ${OWN_ROWS}) AS "sweepAgeSeconds",
      (SELECT coalesce(jsonb_agg(jsonb_build_object('id', each.id,
          'leasesReserved', each.reserved, 'leasesActive', each.active,
          'leasesEnding', each.ending, 'leasesStuck', each.stuck,
          'listingAgeSeconds', each.listing_age) ORDER BY each.id), '[]')
        FROM (${backendCounts(sql)}) AS each) AS "backends"
    FROM mayfly.leases AS l WHERE l.state <> 'ended'`;
  if (row === undefined) throw new Error("a count gave no row");
  return row;
}

const backendCounts = (sql: Statement) => sql`
  SELECT b.id, coalesce(live.reserved, 0) AS reserved, coalesce(live.active, 0) AS active,
    coalesce(live.ending, 0) AS ending, coalesce(live.stuck, 0) AS stuck,
    extract(epoch FROM now() - s.finished_at)::float8 AS listing_age
  FROM mayfly.backends AS b
  LEFT JOIN mayfly.sweeps AS s ON s.backend_id = b.id
  LEFT JOIN (
    SELECT backend_id,
      count(*) FILTER (WHERE state = 'reserved')::integer AS reserved,
      count(*) FILTER (WHERE state = 'active')::integer AS active,
      count(*) FILTER (WHERE state = 'ending')::integer AS ending,
      count(*) FILTER (WHERE state = 'stuck')::integer AS stuck
    FROM mayfly.leases WHERE state <> 'ended' GROUP BY backend_id
  ) AS live ON live.backend_id = b.id
  WHERE b.deleted_at IS NULL OR live.backend_id IS NOT NULL`;
