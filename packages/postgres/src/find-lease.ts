import { uuidOfId, type Lease, type LeaseId, type TaskId } from "@mayfly/spec";
import { leaseColumns, leaseOfRow, type LeaseRow } from "./lease-row.ts";
import type { Statement } from "./sql.ts";

export async function findLease(sql: Statement, id: LeaseId): Promise<Lease | null> {
  const [row] = await sql<LeaseRow[]>`
    SELECT ${leaseColumns(sql)} FROM mayfly.leases AS l WHERE l.id = ${uuidOfId(id)}::uuid`;
  return row === undefined ? null : leaseOfRow(row);
}

export const LEASES_BELOW_MAX = 10_000;

export async function leasesBelow(
  sql: Statement,
  id: TaskId,
  limit: number,
): Promise<readonly Lease[]> {
  const task = uuidOfId(id);
  const found = await sql<LeaseRow[]>`
    SELECT ${leaseColumns(sql)} FROM mayfly.leases AS l
    WHERE l.task_id IN (
      SELECT t.id FROM mayfly.tasks AS t
      WHERE t.root_id = (SELECT s.root_id FROM mayfly.tasks AS s WHERE s.id = ${task}::uuid)
        AND (t.id = ${task}::uuid OR ${task}::uuid = ANY (t.ancestors)))
    ORDER BY l.id DESC LIMIT ${Math.min(limit, LEASES_BELOW_MAX)}`;
  return found.map(leaseOfRow);
}
