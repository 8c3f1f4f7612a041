import { BrokerError, uuidOfId, type EndRequest } from "@mayfly/spec";
import { json, type Statement } from "./sql.ts";

/** The first of the two commits of an end. Locks nothing, so nobody's exchange can delay it. */
export async function requestEnd(
  sql: Statement,
  { taskId, state, actor, reason, decisionId = null }: EndRequest,
): Promise<"requested" | "already"> {
  const task = uuidOfId(taskId);
  const decision = decisionId === null ? null : uuidOfId(decisionId);
  const [row] = await sql<{ known: boolean; requested: boolean }[]>`
    WITH requested AS (
      INSERT INTO mayfly.task_end_requests (task_id, state, actor, reason)
      SELECT t.id, ${state}, ${json(actor)}::text::jsonb, ${reason}
      FROM mayfly.tasks AS t WHERE t.id = ${task}::uuid AND t.state = 'active'
      ON CONFLICT DO NOTHING
      RETURNING task_id
    ), told AS (
      INSERT INTO mayfly.events (kind, actor, task_id, decision_id, data)
      SELECT 'task.end_requested', ${json(actor)}::text::jsonb, r.task_id, ${decision}::uuid,
        ${json({ state, reason })}::text::jsonb
      FROM requested AS r
    )
    SELECT EXISTS (SELECT FROM mayfly.tasks AS t WHERE t.id = ${task}::uuid) AS known,
      EXISTS (SELECT FROM requested) AS requested`;
  if (row?.known !== true) {
    throw new BrokerError("not_found", "There is no such task.", { where: "task" });
  }
  return row.requested ? "requested" : "already";
}
