import type { Sql } from "./sql.ts";

export const COUNT_MAX = 5000;

/**
 * Counts what further entries of the log say of each policy: which decisions it determined. In the
 * order of the log and under the head's lock, so that each entry counts once, whoever counts.
 * Returns how many entries it went through.
 *
 * By their ids, not by a join: where the planner last saw a table with few decisions in it, it took
 * each entry through all that there were since.
 */
export function countPolicyUse(sql: Sql, limit: number): Promise<number> {
  return sql.begin(async (tx) => {
    const [head] = await tx<{ log_index: string }[]>`
      SELECT log_index FROM mayfly.policy_use_head FOR UPDATE SKIP LOCKED`;
    if (head === undefined) return 0;
    const [row] = await tx<{ seen: number }[]>`
      WITH entries AS MATERIALIZED (
        SELECT log_index, event_id FROM mayfly.log_entries
        WHERE log_index >= ${head.log_index}::text::bigint
        ORDER BY log_index LIMIT ${Math.min(limit, COUNT_MAX)}::integer
      ), counted AS (
        SELECT e.data ->> 'policyDigest' AS digest, p.id AS policy_id,
          count(*) FILTER (WHERE e.kind = 'decision.permitted') AS permits,
          count(*) FILTER (WHERE e.kind = 'decision.denied') AS denials,
          min(e.at) AS first_at, max(e.at) AS last_at
        FROM mayfly.events AS e
        CROSS JOIN LATERAL jsonb_array_elements_text(
          CASE jsonb_typeof(e.data -> 'verdict' -> 'determining')
            WHEN 'array' THEN e.data -> 'verdict' -> 'determining' ELSE '[]' END) AS p (id)
        WHERE e.id = ANY (ARRAY(SELECT event_id FROM entries))
          AND e.kind IN ('decision.permitted', 'decision.denied')
          AND e.data ->> 'policyDigest' IS NOT NULL
        GROUP BY 1, 2
      ), kept AS (
        INSERT INTO mayfly.policy_use AS u
          (policy_digest, policy_id, permits, denials, first_at, last_at)
        SELECT digest, policy_id, permits, denials, first_at, last_at FROM counted
        ON CONFLICT (policy_id, policy_digest) DO UPDATE
        SET permits = u.permits + excluded.permits, denials = u.denials + excluded.denials,
          first_at = least(u.first_at, excluded.first_at),
          last_at = greatest(u.last_at, excluded.last_at)
      ), moved AS (
        UPDATE mayfly.policy_use_head AS h SET log_index = last.log_index + 1
        FROM (SELECT max(log_index) AS log_index FROM entries) AS last
        WHERE last.log_index IS NOT NULL
      )
      SELECT count(*)::integer AS seen FROM entries`;
    return row?.seen ?? 0;
  });
}
