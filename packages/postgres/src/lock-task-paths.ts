import type postgres from "postgres";
import { uuids, type Transaction } from "./sql.ts";

export type LockMode = "batch" | "alone";

/**
 * Locks tasks and all their ancestors against their end, by depth and id: `FOR KEY SHARE`, which
 * neither a heartbeat nor another exchange minds. What is told here is from before the lock: read
 * states and end requests in a later statement.
 *
 * A task below which an end was already requested is not locked at all, so that a crowd that has
 * not heard of it cannot keep `applyEnd` waiting. In a batch, what somebody else holds is skipped.
 */
export function lockTaskPaths(
  sql: Transaction,
  taskUuids: Iterable<string> | postgres.Fragment,
  mode: LockMode,
): Promise<readonly { readonly id: string }[]> {
  const wanted =
    taskUuids instanceof Promise
      ? taskUuids
      : sql`SELECT unnest(${uuids(taskUuids)}::text::uuid[])`;
  return sql<{ id: string }[]>`
    WITH wanted AS MATERIALIZED (
      SELECT t.ancestors || t.id AS path FROM mayfly.tasks AS t
      WHERE t.id IN (${wanted})
    )
    SELECT t.id FROM mayfly.tasks AS t
    WHERE t.id IN (
      SELECT unnest(w.path) FROM wanted AS w
      WHERE NOT EXISTS (
        SELECT FROM mayfly.task_end_requests AS r WHERE r.task_id = ANY (w.path)))
    ORDER BY t.depth, t.id
    FOR KEY SHARE OF t ${mode === "batch" ? sql`SKIP LOCKED` : sql``}`.execute();
}
