import { uuidOfId, type TaskId } from "@mayfly/spec";
import type { Statement } from "./sql.ts";

/**
 * From the event of the opening: it is the record of what the token told, whatever version wrote
 * it. Its id may be of another clock than the task's, and bounds which partitions are looked at.
 */
export async function initiatorActors(sql: Statement, rootId: TaskId): Promise<readonly string[]> {
  const id = uuidOfId(rootId);
  const [row] = await sql<{ readonly actors: readonly string[] }[]>`
    SELECT coalesce(e.data -> 'initiatorActors', '[]') AS actors FROM mayfly.events AS e
    WHERE e.task_id = ${id}::uuid AND e.kind = 'task.opened' AND e.id >= (
      SELECT mayfly.uuid7_floor(t.opened_at - interval '1 day') FROM mayfly.tasks AS t
      WHERE t.id = ${id}::uuid)
    LIMIT 1`;
  return row?.actors ?? [];
}
