import type { LogProblem } from "./compare-told-rows.ts";
import type { Transaction } from "./sql.ts";

/**
 * What a lease is was written once, and stands in the events of its reservation and its
 * activation: whoever changes one of the two is found, from log index `from` on.
 */
export async function verifyLeases(
  sql: Transaction,
  from: number,
  keptFromId: string,
): Promise<LogProblem | null> {
  const [row] = await sql<{ log_index: number; missing: boolean }[]>`
    SELECT entry.log_index::float8 AS log_index, l.id IS NULL AS missing
    FROM mayfly_audit.log_entries AS entry
    JOIN mayfly_audit.events AS e ON e.id = entry.event_id
    LEFT JOIN mayfly_audit.leases AS l ON l.id = e.lease_id
    WHERE entry.log_index >= ${from}::float8::bigint AND e.lease_id >= ${keptFromId}::uuid
      AND CASE e.kind
        WHEN 'lease.reserved' THEN
          ROW (l.task_id, l.decision_id, l.workload, l.role, l.backend_id,
              l.backend_revision::text, l.plan, date_trunc('milliseconds', l.reserved_at))
            IS DISTINCT FROM
          ROW (e.task_id, e.decision_id, e.actor ->> 'name', e.data ->> 'role',
              e.data ->> 'backendId', e.data ->> 'backendRevision', e.data -> 'plan', e.at)
        WHEN 'lease.activated' THEN
          ROW (l.fingerprint, date_trunc('milliseconds', l.activated_at))
            IS DISTINCT FROM ROW (e.data ->> 'fingerprint', e.at)
        WHEN 'lease.withheld' THEN l.fingerprint IS DISTINCT FROM e.data ->> 'fingerprint'
        ELSE false END
    ORDER BY entry.log_index LIMIT 1`;
  if (row === undefined) return null;
  const what = row.missing ? "is missing" : "is not what was recorded: it was altered";
  const { log_index: logIndex } = row;
  return { ok: false, logIndex, problem: `the lease of entry ${logIndex} ${what}` };
}

/**
 * A lease is ended if, and only if, it ended once more than it resurfaced, and its outcome is one
 * that an event names. `entries` stands for a lease of which no entry of the log tells.
 */
export async function findMisstatedEnd(
  sql: Transaction,
  entries: number,
  fromId: string,
): Promise<LogProblem | null> {
  const [row] = await sql<{ id: string; state: string; log_index: number | null }[]>`
    WITH told AS (
      SELECT lease_id,
        count(*) FILTER (WHERE kind <> 'lease.resurfaced')
          - count(*) FILTER (WHERE kind = 'lease.resurfaced' AND data -> 'rowWasLost' = 'false')
          AS ends,
        array_agg(CASE kind WHEN 'lease.abandoned' THEN 'abandoned'
          ELSE data ->> 'outcome' END) AS outcomes
      FROM mayfly_audit.events
      WHERE kind IN ('lease.ended', 'lease.abandoned', 'lease.resurfaced')
      GROUP BY lease_id
    ), misstated AS (
      SELECT l.id, l.state FROM mayfly_audit.leases AS l LEFT JOIN told ON told.lease_id = l.id
      WHERE l.id >= ${fromId}::uuid AND ((l.state = 'ended') <> (coalesce(told.ends, 0) = 1)
        OR (l.state = 'ended' AND coalesce(l.outcome <> ALL (told.outcomes), true)))
      ORDER BY l.id LIMIT 1
    )
    SELECT m.id, m.state, (
      SELECT max(e.log_index) FROM mayfly_audit.events AS e WHERE e.lease_id = m.id
    )::float8 AS log_index FROM misstated AS m`;
  if (row === undefined) return null;
  return {
    ok: false,
    logIndex: row.log_index ?? entries,
    problem: `the lease ${row.id} is ${row.state} in its row, and its events say otherwise`,
  };
}
