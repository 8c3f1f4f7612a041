import type { InstantMs } from "@mayfly/spec";
import { compareToldRows, TOLD_PAGE, type LogProblem, type Told } from "./compare-told-rows.ts";
import { decisionSha256, type DecisionRow } from "./decision-rows.ts";
import type { Transaction } from "./sql.ts";

interface DecidedRow extends Omit<DecisionRow, "id" | "decided_ms">, Told {
  readonly sha256: string;
  readonly is_erased: boolean;
  readonly decided_at: InstantMs;
}

/**
 * Compares each decision's row with the hash in its event, from log index `from` on. An event that
 * is older than this hash has none, and vouches for the verdict alone. For a row from which values
 * were erased, the erasure vouches.
 */
export const verifyDecisions = (
  sql: Transaction,
  from: number,
  keptFromId: string,
): Promise<LogProblem | null> =>
  compareToldRows("decision", from, (next) => readPage(sql, next, keptFromId), isTold);

const isTold = ({ sha256, is_erased, decided_at, ...row }: DecidedRow, id: string): boolean =>
  is_erased || decisionSha256({ ...row, id, decided_ms: decided_at }) === sha256;

const readPage = (sql: Transaction, from: number, keptFromId: string) =>
  sql<DecidedRow[]>`
    SELECT l.log_index::float8 AS log_index, e.data ->> 'decisionSha256' AS sha256, d.id,
      d.task_id, d.workload, d.role, d.effect, d.request, d.verdict, d.policy_digest, d.decided_at,
      d.erased_by IS NOT NULL AS is_erased,
      d.decided_at <> date_trunc('milliseconds', d.decided_at)
        OR date_trunc('milliseconds', d.recorded_at) <> e.at AS is_altered
    FROM mayfly_audit.log_entries AS l
    JOIN mayfly_audit.events AS e ON e.id = l.event_id
    LEFT JOIN mayfly_audit.decisions AS d ON d.id = e.decision_id
    WHERE l.log_index >= ${from}::float8::bigint AND e.decision_id >= ${keptFromId}::uuid
      AND e.kind IN ('decision.permitted', 'decision.denied') AND e.data ? 'decisionSha256'
    ORDER BY l.log_index LIMIT ${TOLD_PAGE}::integer`;

/** A decision that no event tells of: somebody added it. `entries` is where it would stand. */
export async function findUntoldDecision(
  sql: Transaction,
  entries: number,
  fromId: string,
): Promise<LogProblem | null> {
  const [row] = await sql<{ id: string }[]>`
    SELECT d.id FROM mayfly_audit.decisions AS d
    WHERE d.id >= ${fromId}::uuid AND NOT EXISTS (
      SELECT FROM mayfly_audit.events AS e
      WHERE e.decision_id = d.id AND e.kind IN ('decision.permitted', 'decision.denied'))
    LIMIT 1`;
  if (row === undefined) return null;
  return { ok: false, logIndex: entries, problem: `no event tells of decision ${row.id}` };
}
