import type { LogProblem } from "./compare-told-rows.ts";
import { erasedRowSha256, type ErasedRow } from "./erased-row-sha256.ts";
import type { Transaction } from "./sql.ts";

const PAGE = 1000;

interface ToldRow extends ErasedRow {
  readonly erased_by: string;
  /** What the event that `erased_by` names says of the row; null: nothing. */
  readonly sha256: string | null;
  /** A credential that came back reopened the lease: its row changed since, as its events tell. */
  readonly was_reopened: boolean;
}

/**
 * Whatever an erasure lists is as it left it, and whatever says that it was erased is listed. The
 * rows of events are compared entry by entry beside this, where their leaves are.
 *
 * Both are looked at whole, whatever part of the log is verified: a list may be newer than that.
 * `entries` is named where no place in the log fits.
 */
export const verifyErasures = async (
  sql: Transaction,
  entries: number,
  keptFromId: string,
): Promise<LogProblem | null> =>
  (await findUndone(sql, entries, keptFromId)) ?? (await findAltered(sql, entries, keptFromId));

/**
 * A row that is listed names the erasure, or a later one that lists it and says what was before.
 * Else a value was put back, the row is gone, or somebody made up an erasure.
 */
async function findUndone(
  sql: Transaction,
  entries: number,
  keptFromId: string,
): Promise<LogProblem | null> {
  const [row] = await sql<{ table_name: string; id: string; log_index: number | null }[]>`
    WITH erasures AS MATERIALIZED (
      SELECT id, log_index, data FROM mayfly_audit.events WHERE kind = 'ledger.erased'
    ), listed AS MATERIALIZED (
      SELECT x.id AS erasure, x.log_index, t.key AS table_name, r.key AS id,
        x.data #>> ARRAY['previous', t.key, r.key] AS previous
      FROM erasures AS x
      CROSS JOIN LATERAL jsonb_each(
        CASE jsonb_typeof(x.data -> 'rows') WHEN 'object' THEN x.data -> 'rows' END) AS t
      CROSS JOIN LATERAL jsonb_each(CASE jsonb_typeof(t.value) WHEN 'object' THEN t.value END) AS r
      WHERE t.key = 'selector_ends' OR r.key >= ${keptFromId}
    ), erased AS MATERIALIZED (
      SELECT table_name, id::text AS id, erased_by FROM mayfly_audit.erased_rows
      UNION ALL
      SELECT 'events', id::text, erased_by FROM mayfly_audit.events WHERE erased_by IS NOT NULL
    )
    SELECT l.table_name, l.id, l.log_index::float8 AS log_index FROM listed AS l
    WHERE NOT EXISTS (
        SELECT FROM erased AS e
        WHERE e.table_name = l.table_name AND e.id = l.id AND e.erased_by = l.erasure)
      AND NOT EXISTS (
        SELECT FROM listed AS later
        WHERE later.table_name = l.table_name AND later.id = l.id
          AND later.previous = l.erasure::text)
    LIMIT 1`;
  if (row === undefined) return null;
  const what = `the row of ${row.table_name} ${row.id} is not as an erasure left it`;
  return { ok: false, logIndex: row.log_index ?? entries, problem: what };
}

async function findAltered(
  sql: Transaction,
  entries: number,
  keptFromId: string,
): Promise<LogProblem | null> {
  const found = sql<ToldRow[]>`
    SELECT r.table_name, r.id, r.content, r.erased_by,
      x.data #>> ARRAY['rows', r.table_name, r.id::text] AS sha256,
      r.table_name = 'leases' AND EXISTS (
        SELECT FROM mayfly_audit.events AS e
        WHERE e.lease_id = r.id AND e.kind = 'lease.resurfaced' AND e.id > r.erased_by)
        AS was_reopened
    FROM mayfly_audit.erased_rows AS r
    LEFT JOIN mayfly_audit.events AS x ON x.id = r.erased_by AND x.kind = 'ledger.erased'
    -- Ends by selector have no months: what tells of their erasure may have left with its own.
    WHERE CASE r.table_name
      WHEN 'selector_ends' THEN x.id IS NOT NULL OR r.erased_by >= ${keptFromId}::uuid
      ELSE r.id >= ${keptFromId}::uuid END`;
  for await (const page of found.cursor(PAGE)) {
    const wrong = page.map((row) => problemOf(row)).find((problem) => problem !== null);
    if (wrong !== undefined) return { ok: false, logIndex: entries, problem: wrong };
  }
  return null;
}

function problemOf(row: ToldRow): string | null {
  const what = `the row of ${row.table_name} ${row.id}`;
  if (row.sha256 === null) {
    return `${what} says that values were erased from it, and no event tells of that`;
  }
  if (row.was_reopened || erasedRowSha256(row) === row.sha256) return null;
  return `${what} was altered after values were erased from it`;
}
