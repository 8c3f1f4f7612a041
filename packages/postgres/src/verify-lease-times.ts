import type { LogProblem } from "./compare-told-rows.ts";
import type { Transaction } from "./sql.ts";

/**
 * What changes in a lease's row and yet follows from its events: when its credential expires, when
 * it is looked at next, and that the handle is there with which it is revoked. Whoever moves one of
 * these keeps a credential alive without a trace. `entries` stands for a lease of which no entry of
 * the log tells.
 *
 * A time stands in the events in milliseconds; a row may be at most so early that a pass is.
 */
export async function findMisstatedTimes(
  sql: Transaction,
  entries: number,
  fromId: string,
): Promise<LogProblem | null> {
  const [row] = await sql<{ id: string; what: string; log_index: number | null }[]>`
    WITH expiry AS (
      SELECT lease_id, (array_agg(data -> 'expiresAt' ORDER BY id DESC))[1]::float8 AS ms
      FROM mayfly_audit.events
      WHERE kind IN ('lease.activated', 'lease.withheld', 'lease.renewed') GROUP BY lease_id
    ), live AS (
      SELECT l.id, max(e.at + make_interval(secs => coalesce(
          (e.data ->> 'seconds')::float8, (e.data ->> 'retryInSeconds')::float8, 0)))
          FILTER (WHERE e.id = last.id) AS due_until,
        bool_or(e.kind IN ('lease.activated', 'lease.withheld', 'lease.resurfaced')) AS was_made
      FROM mayfly_audit.leases AS l
      JOIN mayfly_audit.events AS e ON e.lease_id = l.id
      LEFT JOIN LATERAL (
        SELECT id FROM mayfly_audit.events
        WHERE lease_id = l.id AND kind IN ('lease.ending', 'lease.withheld', 'lease.recovering',
          'lease.waiting', 'lease.retried', 'lease.stuck', 'lease.resurfaced')
        ORDER BY id DESC LIMIT 1) AS last ON true
      WHERE l.state <> 'ended' GROUP BY l.id
    ), found AS (
      SELECT l.id, CASE
        WHEN floor(extract(epoch FROM l.expires_at) * 1000)::float8
          <> coalesce(expiry.ms, (l.plan ->> 'expiresAt')::float8) THEN 'expiry'
        WHEN live.was_made AND NOT (l.has_handle AND l.work = 'revoke') THEN 'handle'
        WHEN l.due_at > CASE l.state
            WHEN 'active' THEN l.expires_at
            WHEN 'reserved' THEN l.settle_by
            WHEN 'ended' THEN l.due_at
            ELSE live.due_until + interval '1 second' END THEN 'next look'
        END AS what
      FROM mayfly_audit.leases AS l
      LEFT JOIN expiry ON expiry.lease_id = l.id
      LEFT JOIN live ON live.id = l.id
      WHERE l.id >= ${fromId}::uuid
    )
    SELECT f.id, f.what, (
      SELECT max(e.log_index) FROM mayfly_audit.events AS e WHERE e.lease_id = f.id
    )::float8 AS log_index FROM found AS f WHERE f.what IS NOT NULL ORDER BY f.id LIMIT 1`;
  if (row === undefined) return null;
  return {
    ok: false,
    logIndex: row.log_index ?? entries,
    problem: `the ${row.what} of lease ${row.id} is not what its events say: it was altered`,
  };
}
