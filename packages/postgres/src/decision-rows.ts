import { createHash } from "node:crypto";
import canonicalize from "canonicalize";
import { uuidOfId, type Decision, type Verdict } from "@mayfly/spec";
import { rows, type Fragment, type Statement } from "./sql.ts";

/** A decision as it goes on record: on whom, and for which role if one was reached. */
export interface RecordedDecision {
  readonly decision: Decision;
  readonly workload: string;
  readonly role: string | null;
}

/** What a row of `mayfly.decisions` says, but for when it was recorded. */
export interface DecisionRow {
  readonly id: string;
  readonly task_id: string | null;
  readonly workload: string;
  readonly role: string | null;
  readonly effect: string;
  readonly request: Decision["request"];
  readonly verdict: Verdict;
  readonly policy_digest: string;
  /** Milliseconds since the epoch. */
  readonly decided_ms: number;
}

/**
 * Hex SHA-256 of the row's canonical JSON (RFC 8785). It stands in the decision's event, so that
 * the log vouches for the row too: the request is in the row alone.
 */
export function decisionSha256(row: DecisionRow): string {
  const { id, task_id, workload, role, effect, request, verdict, policy_digest, decided_ms } = row;
  const text = canonicalize({
    id,
    task_id,
    workload,
    role,
    effect,
    request,
    verdict,
    policy_digest,
    decided_ms,
  });
  if (text === undefined) throw new Error("a decision has no canonical form");
  return createHash("sha256").update(text, "utf8").digest("hex");
}

export const decisionRow = ({ decision, workload, role }: RecordedDecision): DecisionRow => ({
  id: uuidOfId(decision.id),
  task_id: decision.taskId === null ? null : uuidOfId(decision.taskId),
  workload,
  role,
  effect: decision.verdict.effect,
  request: decision.request,
  verdict: decision.verdict,
  policy_digest: decision.policyDigest,
  decided_ms: decision.decidedAt,
});

export const insertDecisions = (
  sql: Statement,
  decisions: readonly RecordedDecision[],
  onlyIf: Fragment = sql``,
) =>
  sql`
    INSERT INTO mayfly.decisions
      (id, task_id, workload, role, effect, request, verdict, policy_digest, decided_at)
    SELECT id, task_id, workload, role, effect, request, verdict, policy_digest,
      mayfly.instant(decided_ms)
    FROM jsonb_to_recordset(${rows(decisions.map(decisionRow))}::text::jsonb) AS d (
      id uuid, task_id uuid, workload text, role text, effect text, request jsonb, verdict jsonb,
      policy_digest text, decided_ms double precision)
    ${onlyIf}`;

/** What the decision's event says of it. */
export const decisionData = (recorded: RecordedDecision) => ({
  ...(recorded.role === null ? {} : { role: recorded.role }),
  verdict: { ...recorded.decision.verdict },
  policyDigest: recorded.decision.policyDigest,
  decisionSha256: decisionSha256(decisionRow(recorded)),
});
