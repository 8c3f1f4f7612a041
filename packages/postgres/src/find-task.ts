import { uuidOfId, type Task, type TaskId } from "@mayfly/spec";
import type { Statement } from "./sql.ts";
import { taskColumns, taskOfRow, type TaskRow } from "./task-row.ts";

/** Behind every use of a task token. */
export async function findTask(sql: Statement, id: TaskId): Promise<Task | null> {
  const [row] = await sql<TaskRow[]>`
    SELECT ${taskColumns(sql)} FROM mayfly.tasks AS t WHERE t.id = ${uuidOfId(id)}::uuid`;
  return row === undefined ? null : taskOfRow(row);
}
