import type { InstantMs, LogVerification } from "@mayfly/spec";
import type { Transaction } from "./sql.ts";
import { taskSha256, type OpenedRow } from "./task-sha256.ts";

const PAGE = 1000;

type Problem = Extract<LogVerification, { ok: false }>;

interface ToldRow extends Omit<OpenedRow, "id" | "deadline_ms"> {
  readonly log_index: number;
  readonly sha256: string;
  /** Null when the task's row is gone. */
  readonly id: string | null;
  readonly deadline_at: InstantMs;
  /** What the hash cannot see: less than a millisecond, and when the task was opened. */
  readonly at_altered: boolean;
}

/**
 * Compares what each task's row says of its opening with the hash in its event, from log index
 * `from` on. An event that is older than this hash has none. State and end are not in it: they
 * change.
 */
export async function verifyTasks(sql: Transaction, from: number): Promise<Problem | null> {
  let next = from;
  for (;;) {
    const page = await readPage(sql, next);
    for (const row of page) {
      if (row.id === null) return problem(row, "is missing");
      if (row.at_altered || !isTold(row, row.id)) {
        return problem(row, "is not what was recorded: it was altered");
      }
      next = row.log_index + 1;
    }
    if (page.length < PAGE) return null;
  }
}

const isTold = ({ sha256, deadline_at, ...row }: ToldRow, id: string): boolean =>
  taskSha256({ ...row, id, deadline_ms: deadline_at }) === sha256;

const problem = ({ log_index: logIndex }: ToldRow, what: string): Problem => ({
  ok: false,
  logIndex,
  problem: `the task of entry ${logIndex} ${what}`,
});

const readPage = (sql: Transaction, from: number) =>
  sql<ToldRow[]>`
    SELECT l.log_index::float8 AS log_index, e.data ->> 'taskSha256' AS sha256, t.id, t.parent_id,
      t.root_id, t.ancestors, t.depth, t.workload, t.workload_name, t.verified_initiator,
      t.claimed_initiator, t.ref, t.descriptor, t.confirmation, t.deadline_at,
      t.deadline_at <> date_trunc('milliseconds', t.deadline_at)
        OR date_trunc('milliseconds', t.opened_at) <> e.at AS at_altered
    FROM mayfly_audit.log_entries AS l
    JOIN mayfly_audit.events AS e ON e.id = l.event_id
    LEFT JOIN mayfly_audit.tasks AS t ON t.id = e.task_id
    WHERE l.log_index >= ${from}::float8::bigint
      AND e.kind = 'task.opened' AND e.data ? 'taskSha256'
    ORDER BY l.log_index LIMIT ${PAGE}::integer`;

/** A task of whose opening no event tells: somebody added it. `entries` is where it would stand. */
export async function findUntoldTask(sql: Transaction, entries: number): Promise<Problem | null> {
  const [row] = await sql<{ id: string }[]>`
    SELECT t.id FROM mayfly_audit.tasks AS t
    WHERE NOT EXISTS (
      SELECT FROM mayfly_audit.events AS e WHERE e.task_id = t.id AND e.kind = 'task.opened')
    LIMIT 1`;
  if (row === undefined) return null;
  return { ok: false, logIndex: entries, problem: `no event tells of task ${row.id}` };
}
