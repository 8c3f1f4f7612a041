import type { LogProblem } from "./compare-told-rows.ts";
import type { Transaction } from "./sql.ts";

/**
 * Each slot of a pooled backend had one tenant at a time, as its events tell: the lease before had
 * ended when the next one took it, under a higher generation. And its row has the last of them, so
 * that nobody made a slot free by writing another lease into it. `entries` stands for a slot of
 * which no entry of the log tells.
 */
export async function findMisstatedSlots(
  sql: Transaction,
  entries: number,
  fromId: string,
): Promise<LogProblem | null> {
  const [row] = await sql<{ what: string; log_index: number | null }[]>`
    WITH taken AS (
      SELECT data ->> 'backendId' AS backend_id, data ->> 'slot' AS slot,
        (data ->> 'generation')::bigint AS generation, lease_id, at, log_index, id
      FROM mayfly_audit.events WHERE kind = 'lease.slot_taken' AND lease_id >= ${fromId}::uuid
    ), tenancy AS (
      SELECT taken.*, lag(lease_id) OVER turns AS before, lag(generation) OVER turns AS lower,
        lead(id) OVER turns IS NULL AS is_last
      FROM taken WINDOW turns AS (PARTITION BY backend_id, slot ORDER BY id)
    ), told AS (
      SELECT t.log_index, format('slot %s of %s was given to two leases at once', slot, backend_id)
        AS what
      FROM tenancy AS t
      WHERE t.lower >= t.generation OR (t.before IS NOT NULL AND NOT EXISTS (
        SELECT FROM mayfly_audit.events AS e
        WHERE e.lease_id = t.before AND e.kind IN ('lease.ended', 'lease.abandoned')
          AND e.at <= t.at))
    ), kept AS (
      SELECT t.log_index, format('slot %s of %s is not what its events say: it was altered',
          coalesce(s.slot, t.slot), coalesce(s.backend_id, t.backend_id)) AS what
      FROM mayfly_audit.backend_slots AS s
      FULL JOIN (SELECT * FROM tenancy WHERE is_last) AS t
        ON t.backend_id = s.backend_id AND t.slot = s.slot
      WHERE coalesce(s.lease_id >= ${fromId}::uuid, t.slot IS NOT NULL)
        AND ROW (s.lease_id, s.generation) IS DISTINCT FROM ROW (t.lease_id, t.generation)
    )
    SELECT what, log_index::float8 AS log_index FROM (TABLE told UNION ALL TABLE kept) AS found
    ORDER BY log_index LIMIT 1`;
  if (row === undefined) return null;
  return { ok: false, logIndex: row.log_index ?? entries, problem: row.what };
}
