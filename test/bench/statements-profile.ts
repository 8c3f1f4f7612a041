import type postgres from "postgres";

/** Settings of a server whose statements are to be counted. */
export const COUNTS_STATEMENTS = {
  shared_preload_libraries: "pg_stat_statements",
  "pg_stat_statements.track": "top",
  "pg_stat_statements.track_planning": "on",
} as const;

const CHARACTERS_MAX = 70;

/** From now on; on a server with {@link COUNTS_STATEMENTS}, as its superuser. */
export async function beginStatements(superuser: postgres.Sql): Promise<void> {
  await superuser`CREATE EXTENSION IF NOT EXISTS pg_stat_statements`;
  await superuser`SELECT pg_stat_statements_reset()`;
}

/**
 * The statements that took the server most time since, each a line: what else a commit costs, and
 * what a connection does between two statements, is in none of them.
 */
export async function topStatements(
  superuser: postgres.Sql,
  count: number,
): Promise<readonly string[]> {
  const rows = await superuser<{ text: string; ms: number; calls: number; share: number }[]>`
    WITH shown AS (
      SELECT left(regexp_replace(regexp_replace(query, '[[:space:]]+', ' ', 'g'),
          '[0-9]{6,}', 'N', 'g'), ${CHARACTERS_MAX}) AS text,
        sum(total_exec_time + total_plan_time) AS ms, sum(calls)::float8 AS calls
      FROM pg_stat_statements
      WHERE query !~ 'pg_stat_statements' GROUP BY 1
    )
    SELECT trim(text) AS text, ms::float8, calls, (100 * ms / sum(ms) OVER ())::float8 AS share
    FROM shown ORDER BY shown.ms DESC LIMIT ${count}`;
  return rows.map(
    ({ text, ms, calls, share }) =>
      `${share.toFixed(1)} % \`${text.replaceAll("`", "'")}\`, ${calls} times, ` +
      `${(ms / calls).toFixed(3)} ms each`,
  );
}
