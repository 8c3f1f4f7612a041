import {
  BrokerError,
  uuidOfId,
  type ActivateResult,
  type Exposure,
  type LeaseState,
} from "@mayfly/spec";
import { createCommitter, type BatchResult } from "./committer.ts";
import { knownActivation, type ActivateRequest } from "./known-activation.ts";
import type { LockMode } from "./lock-task-paths.ts";
import { LOCK_WAIT_MS } from "./lock-wait.ts";
import { withRetries, type RetryPorts } from "./retry.ts";
import { hex, rows, type Sql, type Statement } from "./sql.ts";

type Outcome = BatchResult<ActivateResult>;

export interface ActivateStage {
  activate(request: ActivateRequest): Promise<ActivateResult>;
  idle(): Promise<void>;
}

/** Step 8 of the exchange, as a group commit; rows are read again on another connection. */
export function createActivate(ports: RetryPorts, sql: Sql, rereads: Sql): ActivateStage {
  const committer = createCommitter<ActivateRequest, ActivateResult>(ports, {
    name: "activations",
    run: async (requests, mode, signal) => {
      signal.throwIfAborted();
      return activateBatch(sql, requests, mode);
    },
    keys: ({ lease }) => [lease.id],
  });
  const reread = (request: ActivateRequest) =>
    withRetries(ports, () => rereadActivation(rereads, request));
  const activate = knownActivation((request) => committer.submit(request), reread);
  return { activate, idle: () => committer.idle() };
}

type Became = "alone" | "refused" | "active" | "withheld";

/**
 * One call of the ledger's own function, which is a transaction by itself: it locks the tasks, then
 * the leases, reads both again under the locks, and writes what may be written.
 */
async function activateBatch(
  sql: Sql,
  batch: readonly ActivateRequest[],
  mode: LockMode,
): Promise<readonly Outcome[]> {
  const told = await sql<{ lease: string; became: Became }[]>`
    SELECT lease, became FROM mayfly.activate_leases(
      ${rows(batch.map(rowOf))}::text::jsonb, ${mode === "alone"}, ${LOCK_WAIT_MS[mode]}::integer)`;
  const became = new Map(told.map((row) => [row.lease, row.became]));
  return batch.map((request) => outcomeOf(became.get(uuidOfId(request.lease.id)), request));
}

/** It stays until a settle ends the lease: no failed attempt makes it known. */
const OUTLIVES_LEASE: Exposure = { kind: "unknown", reason: "live" };

function rowOf({ lease, activation }: ActivateRequest) {
  const { expiresAt, fingerprint } = activation;
  return {
    id: uuidOfId(lease.id),
    version: lease.version,
    handle: hex(activation.sealedHandle),
    fingerprint,
    exposure: activation.outlivesLease === true ? OUTLIVES_LEASE : null,
    expires_ms: expiresAt,
    /** What the event says; of one that was withheld the ledger adds why. */
    data: { expiresAt, fingerprint },
  };
}

function outcomeOf(became: Became | undefined, { lease }: ActivateRequest): Outcome {
  const { id, version } = lease;
  switch (became) {
    case "alone":
      return { kind: became };
    case "refused":
      return { kind: "done", result: { kind: became } };
    case "withheld":
      return { kind: "done", result: { kind: became, reason: WITHHELD } };
    case "active":
      return {
        kind: "done",
        result: { kind: became, lease: { id, state: "active", version: version + 1 } },
      };
    case undefined: {
      const error = new BrokerError("internal", "The ledger said nothing of an activation.");
      return { kind: "refused", error };
    }
  }
}

const WITHHELD = "the end of the task or of the lease was requested meanwhile";

/** What became of an activation whose commit nobody heard of. */
async function rereadActivation(
  sql: Statement,
  { lease, activation }: ActivateRequest,
): Promise<ActivateResult | "unwritten"> {
  const [row] = await sql<{ state: LeaseState; version: number; ours: boolean }[]>`
    SELECT l.state, l.version,
      coalesce(l.sealed_handle = decode(${hex(activation.sealedHandle)}, 'hex'), false)
        AND l.work = 'revoke' AS ours
    FROM mayfly.leases AS l WHERE l.id = ${uuidOfId(lease.id)}::uuid`;
  if (row?.state === "reserved" && row.version === lease.version) return "unwritten";
  if (row === undefined || !row.ours) return { kind: "refused" };
  return row.state === "active"
    ? { kind: "active", lease: { id: lease.id, state: "active", version: row.version } }
    : { kind: "withheld", reason: WITHHELD };
}
