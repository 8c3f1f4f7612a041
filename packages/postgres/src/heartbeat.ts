import { BrokerError, uuidOfId, type TaskId, type VerifiedIdentity } from "@mayfly/spec";
import { outageSoFar } from "./ledger-clock.ts";
import type { Statement } from "./sql.ts";

/**
 * One statement, which exchanges never hold up (they lock `FOR KEY SHARE`). It also notes how much
 * outage the ledger had counted, so that idleness is reckoned without it.
 */
export async function heartbeat(
  sql: Statement,
  id: TaskId,
  proof: VerifiedIdentity | null,
  intervalSeconds: number,
): Promise<"beaten" | "ended"> {
  const [row] = await sql<{ known: boolean; beaten: boolean }[]>`
    WITH beaten AS (
      UPDATE mayfly.tasks AS t
      SET last_heartbeat_at = now(),
        heartbeat_outage_seconds = ${outageSoFar(sql, intervalSeconds)},
        identity_proven_at = greatest(
          t.identity_proven_at, mayfly.instant(${proof?.provenAt ?? null}::float8)),
        identity_max_age_seconds = coalesce(
          ${proof?.identityMaxAgeSeconds ?? null}::float8, t.identity_max_age_seconds)
      WHERE t.id = ${uuidOfId(id)}::uuid AND t.state = 'active' AND t.deadline_at > now()
        AND NOT EXISTS (
          SELECT FROM mayfly.task_end_requests AS r WHERE r.task_id = ANY (t.ancestors || t.id))
      RETURNING t.id, t.workload_name
    ), told AS (
      INSERT INTO mayfly.events (kind, actor, task_id, data)
      SELECT 'task.heartbeat_proven',
        jsonb_build_object('kind', 'workload', 'name', b.workload_name), b.id,
        jsonb_build_object('tokenSha256', ${proof?.tokenSha256 ?? null}::text,
          'provenAt', ${proof?.provenAt ?? null}::float8)
      FROM beaten AS b WHERE ${proof !== null}::boolean
    )
    SELECT EXISTS (SELECT FROM mayfly.tasks AS t WHERE t.id = ${uuidOfId(id)}::uuid) AS known,
      EXISTS (SELECT FROM beaten) AS beaten`;
  if (row?.known !== true) {
    throw new BrokerError("not_found", "There is no such task.", { where: "task" });
  }
  return row.beaten ? "beaten" : "ended";
}
