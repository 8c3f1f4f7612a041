import { idFromUuid, type IdempotencyRecord, type IdempotencyScope } from "@mayfly/spec";
import type { Statement } from "./sql.ts";

export async function readIdempotent(
  sql: Statement,
  { scopeSha256, key }: IdempotencyScope,
): Promise<IdempotencyRecord | null> {
  const [row] = await sql<{ body_sha256: string; task_id: string; generation: number }[]>`
    SELECT body_sha256, task_id, generation FROM mayfly.idempotency_keys
    WHERE key = ${key} AND scope_sha256 = ${scopeSha256} AND expires_at > now()`;
  if (row === undefined) return null;
  return {
    bodySha256: row.body_sha256,
    taskId: idFromUuid("task", row.task_id),
    generation: row.generation,
  };
}
