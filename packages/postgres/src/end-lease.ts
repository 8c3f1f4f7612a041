import { uuidOfId, type Actor, type DecisionId, type Lease, type LeaseId } from "@mayfly/spec";
import { findLease } from "./find-lease.ts";
import { promptEnd } from "./prompt-end.ts";
import { json, type Sql } from "./sql.ts";

/** One lease out of its task: due now if it is active, to be withheld if it is reserved. */
export function endLease(
  sql: Sql,
  id: LeaseId,
  actor: Actor,
  reason: string,
  decisionId: DecisionId | null = null,
): Promise<Lease | null> {
  const decision = decisionId === null ? null : uuidOfId(decisionId);
  return sql.begin(async (tx) => {
    await tx`
      WITH ended AS (
        UPDATE mayfly.leases AS l
        SET end_requested_at = coalesce(l.end_requested_at, now()),
          end_reason = coalesce(l.end_reason, ${reason}),
          state = CASE l.state WHEN 'active' THEN 'ending' ELSE l.state END,
          due_at = CASE l.state WHEN 'active' THEN now() ELSE l.due_at END,
          version = l.version + CASE l.state WHEN 'active' THEN 1 ELSE 0 END
        WHERE l.id = ${uuidOfId(id)}::uuid AND l.state IN ('reserved', 'active')
        RETURNING l.id, l.task_id, l.state
      )
      INSERT INTO mayfly.events (kind, actor, task_id, lease_id, decision_id, data)
      SELECT 'lease.ending', ${json(actor)}::text::jsonb, task_id, id, ${decision}::uuid,
        jsonb_build_object('reason', ${reason}::text)
      FROM ended WHERE state = 'ending'`;
    const lease = await findLease(tx, id);
    await promptEnd(tx);
    return lease;
  });
}
