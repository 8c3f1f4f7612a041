import {
  BrokerError,
  uuidOfId,
  type InstantMs,
  type RecordedRenewal,
  type Renewal,
} from "@mayfly/spec";
import { appendEvents } from "./append-events.ts";
import { taskEnded } from "./judge-reservation.ts";
import { leaseColumns, leaseOfRow, type LeaseRow } from "./lease-row.ts";
import { lockTaskPaths } from "./lock-task-paths.ts";
import { decisionData, insertDecisions } from "./decision-rows.ts";
import type { Sql, Transaction } from "./sql.ts";

interface RenewalRow extends LeaseRow {
  readonly task_open: boolean;
  readonly deadline_at: InstantMs | null;
  readonly catalog_version: number;
  readonly sealed_handle: Uint8Array | null;
}

/** The later expiry is on record before the backend is asked for it. */
export function recordRenewal(sql: Sql, renewal: Renewal): Promise<RecordedRenewal> {
  return sql.begin(async (tx) => {
    const lease = uuidOfId(renewal.leaseId);
    const [, , rows] = await Promise.all([
      lockTaskPaths(
        tx,
        tx`SELECT l.task_id FROM mayfly.leases AS l WHERE l.id = ${lease}::uuid`,
        "alone",
      ),
      tx`SELECT FROM mayfly.leases WHERE id = ${lease}::uuid FOR NO KEY UPDATE`.execute(),
      readRenewal(tx, lease),
    ]);
    const [row] = rows;
    if (row === undefined) throw refusal("not_found", "There is no such lease.", renewal);
    if (row.catalog_version !== renewal.catalogVersion) return { kind: "stale_catalog" };
    const handle = judge(row, renewal);
    const [renewed] = await writeRenewal(tx, row, renewal);
    if (renewed === undefined) throw refusal("conflict", "The lease changed meanwhile.", renewal);
    return { kind: "recorded", sealedHandle: handle, lease: leaseOfRow(renewed) };
  });
}

const readRenewal = (sql: Transaction, lease: string) =>
  sql<RenewalRow[]>`
    SELECT ${leaseColumns(sql)}, l.sealed_handle, t.deadline_at,
      (SELECT version::float8 FROM mayfly.catalog_version) AS catalog_version,
      coalesce(t.state = 'active' AND t.deadline_at > now(), false)
        AND NOT EXISTS (
          SELECT FROM mayfly.task_end_requests AS r WHERE r.task_id = ANY (t.ancestors || t.id))
        AND NOT EXISTS (
          SELECT FROM mayfly.tasks AS a WHERE a.id = ANY (t.ancestors) AND a.state <> 'active')
        AS task_open
    FROM mayfly.leases AS l LEFT JOIN mayfly.tasks AS t ON t.id = l.task_id
    WHERE l.id = ${lease}::uuid`.execute();

/** Throws unless the lease may be renewed; answers its handle. */
function judge(row: RenewalRow, renewal: Renewal): Uint8Array {
  if (!row.task_open) throw taskEnded("task");
  if (row.state !== "active" || row.sealed_handle === null) {
    throw refusal("conflict", `The lease is ${row.state}, not active.`, renewal);
  }
  if (renewal.expiresAt <= row.expires_at) {
    throw refusal("conflict", "A renewal can only move the expiry later.", renewal);
  }
  if (row.deadline_at !== null && renewal.expiresAt > row.deadline_at) {
    throw refusal("conflict", "A lease does not outlive its task's deadline.", renewal);
  }
  return row.sealed_handle;
}

const refusal = (
  code: "not_found" | "conflict",
  message: string,
  { leaseId }: Renewal,
): BrokerError => new BrokerError(code, message, { where: leaseId });

async function writeRenewal(
  sql: Transaction,
  row: RenewalRow,
  { leaseId, expiresAt, decision }: Renewal,
): Promise<readonly LeaseRow[]> {
  const { taskId, role, workload } = leaseOfRow(row);
  const actor = { kind: "workload", name: workload ?? "" } as const;
  const ids = { taskId, leaseId, decisionId: decision.id };
  const recorded = {
    decision: { ...decision, taskId },
    workload: workload ?? "",
    role: role ?? "",
  };
  const [renewed] = await Promise.all([
    sql<LeaseRow[]>`
      UPDATE mayfly.leases AS l
      SET expires_at = mayfly.instant(${expiresAt}::float8),
        due_at = mayfly.instant(${expiresAt}::float8), version = l.version + 1
      WHERE l.id = ${row.id}::uuid AND l.state = 'active'
      RETURNING ${leaseColumns(sql)}`.execute(),
    insertDecisions(sql, [recorded]),
    appendEvents(sql, [
      {
        kind: "decision.permitted",
        actor,
        ...ids,
        data: decisionData(recorded),
      },
      { kind: "lease.renewed", actor, ...ids, data: { from: row.expires_at, expiresAt } },
    ]),
  ]);
  return renewed;
}
