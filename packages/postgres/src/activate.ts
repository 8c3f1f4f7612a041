import {
  idFromUuid,
  uuidOfId,
  type ActivateResult,
  type Exposure,
  type LeaseState,
} from "@mayfly/spec";
import { BROKER, insertEvents, type NewEvent } from "./append-events.ts";
import { createCommitter, type BatchResult } from "./committer.ts";
import { knownActivation, type ActivateRequest } from "./known-activation.ts";
import { lockTaskPaths, type LockMode } from "./lock-task-paths.ts";
import { limitLockWait } from "./lock-wait.ts";
import { withRetries, type RetryPorts } from "./retry.ts";
import { hex, rows, uuids, type Sql, type Statement, type Transaction } from "./sql.ts";
import { transact, type OpenTransaction } from "./transact.ts";

type Outcome = BatchResult<ActivateResult>;

export interface ActivateStage {
  activate(request: ActivateRequest): Promise<ActivateResult>;
  idle(): Promise<void>;
}

/** Step 8 of the exchange, as a group commit; rows are read again on another connection. */
export function createActivate(ports: RetryPorts, sql: Sql, rereads: Sql): ActivateStage {
  const committer = createCommitter<ActivateRequest, ActivateResult>(ports, {
    name: "activations",
    run: (requests, mode, signal) =>
      transact(sql, limitLockWait(mode), async (transaction) => {
        signal.throwIfAborted();
        return activateBatch(transaction, requests, mode);
      }),
    keys: ({ lease }) => [lease.id],
  });
  const reread = (request: ActivateRequest) =>
    withRetries(ports, () => rereadActivation(rereads, request));
  const activate = knownActivation((request) => committer.submit(request), reread);
  return { activate, idle: () => committer.idle() };
}

interface LeaseFacts {
  readonly id: string;
  readonly task_id: string | null;
  readonly state: LeaseState;
  readonly version: number;
  readonly end_requested: boolean;
  /** Whether its task and all above it are active, with no end requested. */
  readonly task_open: boolean;
  readonly path: readonly string[];
}

type Judgement = {
  readonly kind: "alone" | "refused" | "active" | "withheld";
  readonly taskId: string | null;
};

async function activateBatch(
  { sql, commitWith }: OpenTransaction,
  batch: readonly ActivateRequest[],
  mode: LockMode,
): Promise<readonly Outcome[]> {
  const ids = uuids(batch.map(({ lease }) => uuidOfId(lease.id)));
  const [lockedTasks, lockedLeases, facts] = await Promise.all([
    lockLeaseTasks(sql, ids, mode),
    sql<{ id: string }[]>`
      SELECT l.id FROM mayfly.leases AS l WHERE l.id = ANY (${ids}::text::uuid[])
      ORDER BY l.id
      FOR NO KEY UPDATE OF l ${mode === "batch" ? sql`SKIP LOCKED` : sql``}`.execute(),
    readLeaseFacts(sql, ids),
  ]);
  const held = {
    tasks: new Set(lockedTasks.map((row) => row.id)),
    leases: new Set(lockedLeases.map((row) => row.id)),
    facts: new Map(facts.map((row) => [row.id, row])),
  };
  const judged = batch.map((request) => ({ request, ...judge(held, request, mode) }));
  const written = judged.filter((each) => each.kind === "active" || each.kind === "withheld");
  if (written.length > 0) {
    const told = insertEvents(sql, written.map(eventOf));
    await commitWith([sql`WITH told AS (${told}) ${updateLeases(sql, written)}`]);
  }
  return judged.map(outcomeOf);
}

function judge(
  held: {
    readonly tasks: ReadonlySet<string>;
    readonly leases: ReadonlySet<string>;
    readonly facts: ReadonlyMap<string, LeaseFacts>;
  },
  { lease }: ActivateRequest,
  mode: LockMode,
): Judgement {
  const row = held.facts.get(uuidOfId(lease.id));
  if (row === undefined || row.state !== "reserved" || row.version !== lease.version) {
    return { kind: "refused", taskId: null };
  }
  const taskId = row.task_id;
  if (!held.leases.has(row.id)) return { kind: mode === "batch" ? "alone" : "refused", taskId };
  if (row.end_requested || !row.task_open) return { kind: "withheld", taskId };
  if (row.path.every((id) => held.tasks.has(id))) return { kind: "active", taskId };
  return { kind: mode === "batch" ? "alone" : "withheld", taskId };
}

function outcomeOf({ kind, request }: Judgement & { request: ActivateRequest }): Outcome {
  const { id, version } = request.lease;
  switch (kind) {
    case "alone":
      return { kind };
    case "refused":
      return { kind: "done", result: { kind } };
    case "withheld":
      return { kind: "done", result: { kind, reason: WITHHELD } };
    case "active":
      return {
        kind: "done",
        result: { kind, lease: { id, state: "active", version: version + 1 } },
      };
  }
}

const WITHHELD = "the end of the task or of the lease was requested meanwhile";

function lockLeaseTasks(sql: Transaction, ids: string, mode: LockMode) {
  return lockTaskPaths(
    sql,
    sql`SELECT l.task_id FROM mayfly.leases AS l WHERE l.id = ANY (${ids}::text::uuid[])`,
    mode,
  );
}

/** Read after the locks, in a statement of its own. */
const readLeaseFacts = (sql: Transaction, ids: string) =>
  sql<LeaseFacts[]>`
    SELECT l.id, l.task_id, l.state, l.version, l.end_requested_at IS NOT NULL AS end_requested,
      coalesce(t.ancestors || t.id, '{}') AS path,
      coalesce(t.state = 'active', true)
        AND NOT EXISTS (
          SELECT FROM mayfly.task_end_requests AS r WHERE r.task_id = ANY (t.ancestors || t.id))
        AND NOT EXISTS (
          SELECT FROM mayfly.tasks AS a WHERE a.id = ANY (t.ancestors) AND a.state <> 'active')
        AS task_open
    FROM mayfly.leases AS l LEFT JOIN mayfly.tasks AS t ON t.id = l.task_id
    WHERE l.id = ANY (${ids}::text::uuid[])`.execute();

/** It stays until a settle ends the lease: no failed attempt makes it known. */
const OUTLIVES_LEASE: Exposure = { kind: "unknown", reason: "live" };

const updateLeases = (
  sql: Transaction,
  written: readonly (Judgement & { readonly request: ActivateRequest })[],
) =>
  sql`
    UPDATE mayfly.leases AS l
    SET state = w.state, version = l.version + 1, work = 'revoke',
      sealed_handle = decode(w.handle, 'hex'), fingerprint = w.fingerprint, exposure = w.exposure,
      activated_at = CASE w.state WHEN 'active' THEN now() END,
      expires_at = mayfly.instant(w.expires_ms),
      end_requested_at = CASE w.state
        WHEN 'active' THEN l.end_requested_at ELSE coalesce(l.end_requested_at, now()) END,
      end_reason = CASE w.state WHEN 'active' THEN l.end_reason
        ELSE coalesce(l.end_reason, 'the task was ended before the credential was handed out') END,
      due_at = CASE w.state WHEN 'active' THEN mayfly.instant(w.expires_ms) ELSE now() END
    FROM jsonb_to_recordset(${rows(
      written.map(({ kind, request: { lease, activation } }) => ({
        id: uuidOfId(lease.id),
        version: lease.version,
        state: kind === "active" ? "active" : "ending",
        handle: hex(activation.sealedHandle),
        fingerprint: activation.fingerprint,
        exposure: activation.outlivesLease === true ? OUTLIVES_LEASE : null,
        expires_ms: activation.expiresAt,
      })),
    )}::text::jsonb) AS w (
      id uuid, version integer, state text, handle text, fingerprint text, exposure jsonb,
      expires_ms double precision)
    WHERE l.id = ANY (${uuids(written.map(({ request }) => uuidOfId(request.lease.id)))}
        ::text::uuid[])
      AND l.id = w.id AND l.state = 'reserved' AND l.version = w.version`;

function eventOf({
  kind,
  taskId,
  request: { lease, activation },
}: Judgement & { readonly request: ActivateRequest }): NewEvent {
  const { expiresAt, fingerprint } = activation;
  const data = { expiresAt, fingerprint };
  const task = taskId === null ? null : idFromUuid("task", taskId);
  const common = { actor: BROKER, taskId: task, leaseId: lease.id } as const;
  return kind === "active"
    ? { kind: "lease.activated", ...common, data }
    : { kind: "lease.withheld", ...common, data: { ...data, reason: WITHHELD } };
}

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
