import type { InstantMs, LogVerification } from "@mayfly/spec";
import { decisionSha256, type DecisionRow } from "./decision-rows.ts";
import type { Transaction } from "./sql.ts";

const PAGE = 1000;

type Problem = Extract<LogVerification, { ok: false }>;

interface DecidedRow extends Omit<DecisionRow, "id" | "decided_ms"> {
  readonly log_index: number;
  readonly sha256: string;
  /** Null when the decision's row is gone. */
  readonly id: string | null;
  readonly decided_at: InstantMs;
  /** What the hash cannot see: less than a millisecond, and when the row was written. */
  readonly at_altered: boolean;
}

/**
 * Compares each decision's row with the hash in its event, from log index `from` on. An event that
 * is older than this hash has none, and vouches for the verdict alone.
 */
export async function verifyDecisions(sql: Transaction, from: number): Promise<Problem | null> {
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

const isTold = ({ sha256, decided_at, ...row }: DecidedRow, id: string): boolean =>
  decisionSha256({ ...row, id, decided_ms: decided_at }) === sha256;

const problem = ({ log_index: logIndex }: DecidedRow, what: string): Problem => ({
  ok: false,
  logIndex,
  problem: `the decision of entry ${logIndex} ${what}`,
});

const readPage = (sql: Transaction, from: number) =>
  sql<DecidedRow[]>`
    SELECT l.log_index::float8 AS log_index, e.data ->> 'decisionSha256' AS sha256, d.id,
      d.task_id, d.workload, d.role, d.effect, d.request, d.verdict, d.policy_digest, d.decided_at,
      d.decided_at <> date_trunc('milliseconds', d.decided_at)
        OR date_trunc('milliseconds', d.recorded_at) <> e.at AS at_altered
    FROM mayfly_audit.log_entries AS l
    JOIN mayfly_audit.events AS e ON e.id = l.event_id
    LEFT JOIN mayfly_audit.decisions AS d ON d.id = e.decision_id
    WHERE l.log_index >= ${from}::float8::bigint
      AND e.kind IN ('decision.permitted', 'decision.denied') AND e.data ? 'decisionSha256'
    ORDER BY l.log_index LIMIT ${PAGE}::integer`;

/** A decision that no event tells of: somebody added it. `entries` is where it would stand. */
export async function findUntoldDecision(
  sql: Transaction,
  entries: number,
): Promise<Problem | null> {
  const [row] = await sql<{ id: string }[]>`
    SELECT d.id FROM mayfly_audit.decisions AS d
    WHERE NOT EXISTS (
      SELECT FROM mayfly_audit.events AS e
      WHERE e.decision_id = d.id AND e.kind IN ('decision.permitted', 'decision.denied'))
    LIMIT 1`;
  if (row === undefined) return null;
  return { ok: false, logIndex: entries, problem: `no event tells of decision ${row.id}` };
}
