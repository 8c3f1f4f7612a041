import {
  BrokerError,
  idFromUuid,
  parseBackendId,
  type BackendId,
  type Claim,
  type InstantMs,
  type IssuePlan,
  type JsonObject,
} from "@mayfly/spec";
import type { Statement } from "./sql.ts";

export const CLAIM_MAX = 1000;

/**
 * From one backend with live leases to the next in the index, and of each the one that is due
 * first: however many leases live, it reads as many rows as there are backends.
 */
export async function dueBackends(sql: Statement): Promise<readonly BackendId[]> {
  const due = await sql<{ backend_id: string }[]>`
    WITH RECURSIVE first (backend_id, due_at) AS (
      (SELECT backend_id, due_at FROM mayfly.leases WHERE state <> 'ended'
        ORDER BY backend_id, due_at LIMIT 1)
      UNION ALL
      SELECT next.backend_id, next.due_at FROM first, LATERAL (
        SELECT l.backend_id, l.due_at FROM mayfly.leases AS l
        WHERE l.state <> 'ended' AND l.backend_id > first.backend_id
        ORDER BY l.backend_id, l.due_at LIMIT 1) AS next
    )
    SELECT backend_id FROM first WHERE due_at <= now() ORDER BY backend_id`;
  return due.map((row) => parseBackendId(row.backend_id, "lease.backend_id"));
}

interface ClaimRow {
  readonly id: string;
  readonly task_id: string | null;
  readonly backend_id: string;
  readonly backend_revision: number;
  readonly claim_token: string;
  readonly attempts: number;
  readonly plan: IssuePlan;
  readonly expires_at: InstantMs;
  readonly due_at: InstantMs;
  readonly due_for_seconds: number | null;
  readonly settled_for_seconds: number;
  readonly work: "revoke" | "recover";
  readonly sealed_handle: Uint8Array | null;
  readonly found: JsonObject | null;
}

/**
 * What is due is due by the server's clock, and a row that somebody works on is passed over. A
 * claim that runs out may be taken by another, under a new token; the first then settles nothing.
 */
export async function claim(
  sql: Statement,
  backendId: BackendId,
  limit: number,
  claimSeconds: number,
  from: InstantMs | null = null,
): Promise<readonly Claim[]> {
  // Each pass ends with a claim of nothing. To look costs a fifth of being ready to write to each
  // month's partition; whoever goes on from a batch before will hardly find nothing.
  if (from === null && !(await hasClaimable(sql, backendId))) return [];
  const claimed = await sql<ClaimRow[]>`
    WITH due AS MATERIALIZED (
      SELECT l.id, l.state AS was,
        CASE WHEN l.end_reason = 'resurfaced' THEN NULL
          ELSE greatest(0, extract(epoch FROM now() - coalesce(l.end_requested_at, l.due_at)))
          END::float8 AS due_for_seconds
      FROM mayfly.leases AS l
      WHERE l.backend_id = ${backendId} AND l.state <> 'ended' AND l.due_at <= now()
        AND l.due_at >= coalesce(mayfly.instant(${from}::float8), '-infinity')
        AND (l.claimed_until IS NULL OR l.claimed_until <= now())
      ORDER BY l.due_at LIMIT ${Math.min(limit, CLAIM_MAX)}::integer
      FOR NO KEY UPDATE OF l SKIP LOCKED
    ), claimed AS (
      UPDATE mayfly.leases AS l
      SET state = CASE WHEN l.state = 'stuck' THEN 'stuck' ELSE 'ending' END,
        version = l.version + 1,
        end_requested_at = coalesce(l.end_requested_at, now()),
        end_reason = coalesce(l.end_reason, CASE l.state
          WHEN 'active' THEN 'its time was over' ELSE 'nobody settled it in time' END),
        claim_token = gen_random_uuid(),
        claimed_until = now() + make_interval(secs => ${claimSeconds}::float8)
      FROM due WHERE l.id = due.id
      RETURNING l.id, l.task_id, l.backend_id, l.backend_revision, l.claim_token, l.attempts,
        l.plan, l.expires_at, l.work, l.sealed_handle, l.due_at, due.was, l.end_reason,
        due.due_for_seconds, l.looked -> 'found' AS found,
        greatest(0, extract(epoch FROM now() - l.settle_by))::float8 AS settled_for_seconds
    ), told AS (
      INSERT INTO mayfly.events (kind, actor, task_id, lease_id, data)
      SELECT CASE was WHEN 'active' THEN 'lease.ending' ELSE 'lease.recovering' END,
        '{"kind": "system", "name": "worker"}', task_id, id,
        jsonb_build_object('reason', end_reason)
      FROM claimed WHERE was IN ('active', 'reserved')
    )
    SELECT id, task_id, backend_id, backend_revision, claim_token, attempts, plan, expires_at,
      due_at, due_for_seconds, settled_for_seconds, work, sealed_handle, found
    FROM claimed ORDER BY due_at`;
  return claimed.map(claimOfRow);
}

async function hasClaimable(sql: Statement, backendId: BackendId): Promise<boolean> {
  const [look] = await sql<{ any: boolean }[]>`
    SELECT EXISTS (SELECT FROM mayfly.leases AS l
      WHERE l.backend_id = ${backendId} AND l.state <> 'ended' AND l.due_at <= now()
        AND (l.claimed_until IS NULL OR l.claimed_until <= now())) AS any`;
  return look?.any === true;
}

function claimOfRow(row: ClaimRow): Claim {
  return {
    leaseId: idFromUuid("lease", row.id),
    taskId: row.task_id === null ? null : idFromUuid("task", row.task_id),
    backendId: parseBackendId(row.backend_id, "lease.backend_id"),
    backendRevision: row.backend_revision,
    token: row.claim_token,
    attempts: row.attempts,
    plan: row.plan,
    expiresAt: row.expires_at,
    dueAt: row.due_at,
    dueForSeconds: row.due_for_seconds,
    work: workOf(row),
  };
}

function workOf({ id, work, sealed_handle: sealedHandle, ...row }: ClaimRow): Claim["work"] {
  if (work === "recover") {
    const { settled_for_seconds: settledForSeconds, found } = row;
    return { kind: "recover", sealedHandle, settledForSeconds, found };
  }
  if (sealedHandle !== null) return { kind: "revoke", sealedHandle };
  throw new BrokerError("internal", "A lease to revoke has no handle.", { where: id });
}
