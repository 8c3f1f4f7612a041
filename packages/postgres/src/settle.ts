import { uuidOfId, type Claim, type ClaimFound, type ClaimOutcome } from "@mayfly/spec";
import { createCommitter, type Committer } from "./committer.ts";
import type { RetryPorts } from "./retry.ts";
import { json, uuids, type Sql, type Statement } from "./sql.ts";

interface SettleRequest {
  readonly claim: Claim;
  readonly outcome: ClaimOutcome | ClaimFound;
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
    // However many end at one backend, and whatever holds them up: no other's end waits for them.
    lane: ({ claim }) => claim.backendId,
  });

function settleRow({ claim, outcome }: SettleRequest) {
  const common = { token: claim.token, kind: outcome.kind };
  switch (outcome.kind) {
    case "found":
      return { ...common, looked: { found: outcome.looked } };
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

/**
 * Compare-and-swap on the claim's token; what is stuck stays so until it is settled. What is asked
 * of a row is looked up by its id, and the ids are read once for all rows: to compare each row with
 * all that was asked took more than to write it.
 */
async function settleBatch(
  sql: Statement,
  requests: readonly SettleRequest[],
): Promise<ReadonlySet<string>> {
  const asked = requests.map((request) => [uuidOfId(request.claim.leaseId), settleRow(request)]);
  const settled = await sql<{ id: string }[]>`
    WITH asked AS MATERIALIZED (
      SELECT ${json(Object.fromEntries(asked))}::text::jsonb AS by_id,
        ${uuids(requests.map(({ claim }) => uuidOfId(claim.leaseId)))}::text::uuid[] AS ids
    ), held AS MATERIALIZED (
      SELECT l.id, l.state AS was, s.*
      FROM mayfly.leases AS l,
        LATERAL jsonb_to_record((SELECT by_id FROM asked) -> l.id::text) AS s (
          token uuid, kind text, outcome text, looked jsonb, wait_seconds float8, exposure jsonb,
          error text, stuck boolean)
      WHERE l.id = ANY ((SELECT ids FROM asked)::uuid[])
        AND l.claim_token = s.token AND l.state IN ('ending', 'stuck')
      ORDER BY l.id FOR NO KEY UPDATE OF l
    ), settled AS (
      UPDATE mayfly.leases AS l
      SET version = l.version + 1,
        claim_token = CASE s.kind WHEN 'found' THEN l.claim_token END,
        claimed_until = CASE s.kind WHEN 'found' THEN l.claimed_until END,
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
        last_error = CASE s.kind WHEN 'failed' THEN s.error WHEN 'found' THEN l.last_error END,
        due_at = CASE WHEN s.kind IN ('ended', 'found') THEN l.due_at
          ELSE now() + make_interval(secs => s.wait_seconds) END
      FROM held AS s
      WHERE l.id = ANY ((SELECT ids FROM asked)::uuid[]) AND l.id = s.id
      RETURNING l.id, l.task_id, l.state, s.was, s.kind, s.outcome, s.looked, s.wait_seconds,
        s.exposure, s.error, l.attempts
    ), told AS (
      INSERT INTO mayfly.events (kind, actor, task_id, lease_id, data)
      SELECT CASE
          WHEN kind = 'ended' THEN 'lease.ended'
          WHEN kind = 'found' THEN 'lease.recovering'
          WHEN kind = 'wait' THEN 'lease.waiting'
          WHEN state = 'stuck' AND was <> 'stuck' THEN 'lease.stuck'
          ELSE 'lease.retried' END,
        '{"kind": "system", "name": "worker"}', task_id, id,
        CASE kind
          WHEN 'ended' THEN jsonb_build_object('outcome', outcome, 'looked', looked)
          WHEN 'found' THEN looked
          WHEN 'wait' THEN jsonb_build_object('seconds', wait_seconds, 'exposure', exposure)
          ELSE jsonb_build_object(
            'error', error, 'attempts', attempts, 'retryInSeconds', wait_seconds) END
      FROM settled
    )
    SELECT id FROM settled`;
  return new Set(settled.map((row) => row.id));
}
