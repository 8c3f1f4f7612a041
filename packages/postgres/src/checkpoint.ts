import { BrokerError, idFromUuid, uuidOfId, type LeaseHandle } from "@mayfly/spec";
import { appendEvents, BROKER } from "./append-events.ts";
import { hex, type Sql, type Statement } from "./sql.ts";

const noLongerReserved = (id: string): BrokerError =>
  new BrokerError("conflict", "The lease is no longer reserved.", { where: id });

/** The version stays: the handle that the caller has is still good for `activate`. */
export async function checkpoint(
  sql: Statement,
  lease: LeaseHandle<"reserved">,
  sealedHandle: Uint8Array,
): Promise<void> {
  const written = await sql`
    UPDATE mayfly.leases SET sealed_handle = decode(${hex(sealedHandle)}, 'hex')
    WHERE id = ${uuidOfId(lease.id)}::uuid AND state = 'reserved'
      AND version = ${lease.version}::integer`;
  if (written.count === 0) throw noLongerReserved(lease.id);
}

/** The backend certainly never acted. */
export async function abandon(
  sql: Sql,
  lease: LeaseHandle<"reserved">,
  why: string,
): Promise<void> {
  await sql.begin(async (tx) => {
    const [row] = await tx<{ task_id: string | null }[]>`
      UPDATE mayfly.leases
      SET state = 'ended', outcome = 'abandoned', ended_at = now(), end_reason = ${why},
        version = version + 1
      WHERE id = ${uuidOfId(lease.id)}::uuid AND state = 'reserved'
        AND version = ${lease.version}::integer
      RETURNING task_id`;
    if (row === undefined) throw noLongerReserved(lease.id);
    const taskId = row.task_id === null ? null : idFromUuid("task", row.task_id);
    const data = { why };
    await appendEvents(tx, [
      { kind: "lease.abandoned", actor: BROKER, taskId, leaseId: lease.id, data },
    ]);
  });
}
