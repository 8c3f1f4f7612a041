import type { InstantMs, PolicyId, PolicyUse } from "@mayfly/spec";
import { texts, type Statement } from "./sql.ts";

interface UseRow {
  readonly id: PolicyId;
  readonly permits: number;
  readonly denials: number;
  readonly permitsEver: number;
  readonly denialsEver: number;
  readonly lastAt: InstantMs | null;
}

/** In the order of `policyIds`; a policy that never determined anything has zeros. */
export async function queryPolicyUse(
  sql: Statement,
  digest: string,
  policyIds: readonly PolicyId[],
): Promise<PolicyUse> {
  const [policies, [head]] = await Promise.all([
    sql<UseRow[]>`
      SELECT p.id,
        coalesce(sum(u.permits) FILTER (WHERE u.policy_digest = ${digest}), 0)::float8 AS permits,
        coalesce(sum(u.denials) FILTER (WHERE u.policy_digest = ${digest}), 0)::float8 AS denials,
        coalesce(sum(u.permits), 0)::float8 AS "permitsEver",
        coalesce(sum(u.denials), 0)::float8 AS "denialsEver", max(u.last_at) AS "lastAt"
      FROM jsonb_array_elements_text(${texts(policyIds)}::text::jsonb)
        WITH ORDINALITY AS p (id, place)
      LEFT JOIN mayfly.policy_use AS u ON u.policy_id = p.id
      GROUP BY p.id, p.place ORDER BY p.place`,
    sql<{ uncounted: number }[]>`
      SELECT (h.entries - u.log_index)::float8 AS uncounted
      FROM mayfly.log_head AS h, mayfly.policy_use_head AS u`,
  ]);
  return { digest, uncounted: head?.uncounted ?? 0, policies: [...policies] };
}
