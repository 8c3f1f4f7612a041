import { uuidOfId, type Claim, type ClaimOutcome } from "@mayfly/spec";
import { createCommitter, type Committer } from "./committer.ts";
import type { RetryPorts } from "./retry.ts";
import { rows, uuids, type Sql, type Statement } from "./sql.ts";

interface SettleRequest {
  readonly claim: Claim;
  readonly outcome: ClaimOutcome;
}

/** Group commit of what passes found: a mass kill settles thousands. False: the claim was lost. */
export const createSettle = (ports: RetryPorts, sql: Sql): Committer<SettleRequest, boolean> =>
  createCommitter<SettleRequest, boolean>(ports, {
    name: "settlements",
    run: async (requests) => {
      const settled = await settleBatch(sql, requests);
      return requests.map(({ claim }) => ({
        kind: "done",
        result: settled.has(uuidOfId(claim.leaseId)),
      }));
    },
    keys: ({ claim }) => [claim.leaseId],
  });

function settleRow({ claim, outcome }: SettleRequest) {
  const common = { id: uuidOfId(claim.leaseId), token: claim.token, kind: outcome.kind };
  switch (outcome.kind) {
    case "ended":
      return { ...common, outcome: outcome.outcome, looked: outcome.looked };
    case "wait":
      return { ...common, wait_seconds: outcome.seconds, exposure: outcome.exposure };
    case "failed":
      return {
        ...common,
        wait_seconds: outcome.retryInSeconds,
        error: outcome.error,
        stuck: outcome.stuck,
      };
  }
}

/** Compare-and-swap on the claim's token; what is stuck stays so until it is settled. */
async function settleBatch(
  sql: Statement,
  requests: readonly SettleRequest[],
): Promise<ReadonlySet<string>> {
  const ids = uuids(requests.map(({ claim }) => uuidOfId(claim.leaseId)));
  const settled = await sql<{ id: string }[]>`
    WITH found AS MATERIALIZED (
      SELECT * FROM jsonb_to_recordset(${rows(requests.map(settleRow))}::text::jsonb) AS s (
        id uuid, token uuid, kind text, outcome text, looked jsonb, wait_seconds float8,
        exposure jsonb, error text, stuck boolean)
    ), held AS MATERIALIZED (
      SELECT l.id, l.state AS was FROM mayfly.leases AS l JOIN found AS s ON s.id = l.id
      WHERE l.id = ANY (${ids}::text::uuid[])
        AND l.claim_token = s.token AND l.state IN ('ending', 'stuck')
      ORDER BY l.id FOR NO KEY UPDATE OF l
    ), settled AS (
      UPDATE mayfly.leases AS l
      SET version = l.version + 1, claim_token = NULL, claimed_until = NULL,
        state = CASE
          WHEN s.kind = 'ended' THEN 'ended'
          WHEN s.kind = 'failed' AND s.stuck THEN 'stuck'
          ELSE l.state END,
        outcome = s.outcome,
        ended_at = CASE s.kind WHEN 'ended' THEN now() END,
        looked = coalesce(s.looked, l.looked),
        exposure = CASE s.kind WHEN 'ended' THEN NULL WHEN 'wait' THEN s.exposure
          ELSE l.exposure END,
        attempts = l.attempts + CASE s.kind WHEN 'failed' THEN 1 ELSE 0 END,
        last_error = CASE s.kind WHEN 'failed' THEN s.error ELSE NULL END,
        due_at = CASE s.kind WHEN 'ended' THEN l.due_at
          ELSE now() + make_interval(secs => s.wait_seconds) END
      FROM found AS s JOIN held ON held.id = s.id
      WHERE l.id = ANY (${ids}::text::uuid[]) AND l.id = s.id
      RETURNING l.id, l.task_id, l.state, held.was, s.kind, s.outcome, s.looked, s.wait_seconds,
        s.exposure, s.error, l.attempts
    ), told AS (
      INSERT INTO mayfly.events (kind, actor, task_id, lease_id, data)
      SELECT CASE
          WHEN kind = 'ended' THEN 'lease.ended'
          WHEN kind = 'wait' THEN 'lease.waiting'
          WHEN state = 'stuck' AND was <> 'stuck' THEN 'lease.stuck'
          ELSE 'lease.retried' END,
        '{"kind": "system", "name": "worker"}', task_id, id,
        CASE kind
          WHEN 'ended' THEN jsonb_build_object('outcome', outcome, 'looked', looked)
          WHEN 'wait' THEN jsonb_build_object('seconds', wait_seconds, 'exposure', exposure)
          ELSE jsonb_build_object(
            'error', error, 'attempts', attempts, 'retryInSeconds', wait_seconds) END
      FROM settled
    )
    SELECT id FROM settled`;
  return new Set(settled.map((row) => row.id));
}
