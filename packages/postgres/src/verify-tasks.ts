import type { InstantMs } from "@mayfly/spec";
import { compareToldRows, TOLD_PAGE, type LogProblem, type Told } from "./compare-told-rows.ts";
import type { Transaction } from "./sql.ts";
import { taskSha256, type OpenedRow } from "./task-sha256.ts";

interface ToldRow extends Omit<OpenedRow, "id" | "deadline_ms">, Told {
  readonly sha256: string;
  readonly is_erased: boolean;
  readonly deadline_at: InstantMs;
}

/**
 * Compares what each task's row says of its opening with the hash in its event, from log index
 * `from` on. An event that is older than this hash has none. State and end are not in it: they
 * change. The idle timeout stands in the descriptor too, which is in it; the trust root that
 * vouched for the initiator came later than the hash, and stands in the event itself. For a row
 * from which values were erased, the erasure vouches.
 */
export const verifyTasks = (
  sql: Transaction,
  from: number,
  keptFromId: string,
): Promise<LogProblem | null> =>
  compareToldRows("task", from, (next) => readPage(sql, next, keptFromId), isTold);

const isTold = ({ sha256, is_erased, deadline_at, ...row }: ToldRow, id: string): boolean =>
  is_erased || taskSha256({ ...row, id, deadline_ms: deadline_at }) === sha256;

const readPage = (sql: Transaction, from: number, keptFromId: string) =>
  sql<ToldRow[]>`
    SELECT l.log_index::float8 AS log_index, e.data ->> 'taskSha256' AS sha256, t.id, t.parent_id,
      t.root_id, t.ancestors, t.depth, t.workload, t.workload_name, t.verified_initiator,
      t.claimed_initiator, t.ref, t.descriptor, t.confirmation, t.deadline_at,
      t.erased_by IS NOT NULL AS is_erased,
      t.deadline_at <> date_trunc('milliseconds', t.deadline_at)
        OR date_trunc('milliseconds', t.opened_at) <> e.at
        OR to_jsonb(t.idle_timeout_seconds) <> t.descriptor -> 'idleTimeoutSeconds'
        OR t.verified_initiator_trust_root IS DISTINCT FROM e.data ->> 'initiatorTrustRoot'
        AS is_altered
    FROM mayfly_audit.log_entries AS l
    JOIN mayfly_audit.events AS e ON e.id = l.event_id
    LEFT JOIN mayfly_audit.tasks AS t ON t.id = e.task_id
    WHERE l.log_index >= ${from}::float8::bigint AND e.task_id >= ${keptFromId}::uuid
      AND e.kind = 'task.opened' AND e.data ? 'taskSha256'
    ORDER BY l.log_index LIMIT ${TOLD_PAGE}::integer`;

/** A task of whose opening no event tells: somebody added it. `entries` is where it would stand. */
export async function findUntoldTask(
  sql: Transaction,
  entries: number,
  fromId: string,
): Promise<LogProblem | null> {
  const [row] = await sql<{ id: string }[]>`
    SELECT t.id FROM mayfly_audit.tasks AS t
    WHERE t.id >= ${fromId}::uuid AND NOT EXISTS (
      SELECT FROM mayfly_audit.events AS e WHERE e.task_id = t.id AND e.kind = 'task.opened')
    LIMIT 1`;
  if (row === undefined) return null;
  return { ok: false, logIndex: entries, problem: `no event tells of task ${row.id}` };
}
