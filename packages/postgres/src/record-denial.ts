import { uuidOfId, type Decision, type Denial } from "@mayfly/spec";
import { appendEvents, type NewEvent } from "./append-events.ts";
import { createCommitter, type Committer } from "./committer.ts";
import type { RetryPorts } from "./retry.ts";
import { rows, type Sql, type Statement } from "./sql.ts";

/** Group commit of denials: durable before their reply, and cheap when there are many. */
export const createRecordDenial = (ports: RetryPorts, sql: Sql): Committer<Denial, void> =>
  createCommitter<Denial, void>(ports, {
    name: "denials",
    run: async (denials, _mode, signal) => {
      await sql.begin((tx) => {
        signal.throwIfAborted();
        return Promise.all([insertDecisions(tx, denials), appendEvents(tx, denials.map(eventOf))]);
      });
      return denials.map(() => ({ kind: "done", result: undefined }));
    },
    keys: () => [],
  });

/** As {@link Denial}, for a verdict of either effect. */
export interface RecordedDecision {
  readonly decision: Decision;
  readonly workload: string;
  readonly role: string;
}

export const insertDecisions = (sql: Statement, denials: readonly RecordedDecision[]) =>
  sql`
    INSERT INTO mayfly.decisions
      (id, task_id, workload, role, effect, request, verdict, policy_digest, decided_at)
    SELECT id, task_id, workload, role, effect, request, verdict, policy_digest,
      mayfly.instant(decided_ms)
    FROM jsonb_to_recordset(${rows(denials.map(decisionRow))}::text::jsonb) AS d (
      id uuid, task_id uuid, workload text, role text, effect text, request jsonb, verdict jsonb,
      policy_digest text, decided_ms double precision)`.execute();

const decisionRow = ({ decision, workload, role }: RecordedDecision) => ({
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

function eventOf({ decision, workload, role }: Denial): NewEvent {
  return {
    kind: decision.verdict.effect === "permit" ? "decision.permitted" : "decision.denied",
    actor: { kind: "workload", name: workload },
    taskId: decision.taskId,
    decisionId: decision.id,
    data: decisionData(decision, role),
  };
}

export const decisionData = ({ verdict, policyDigest }: Decision, role: string) => ({
  role,
  verdict: { ...verdict },
  policyDigest,
});
