import {
  idFromUuid,
  uuidOfId,
  type BackendId,
  type BackendSlots,
  type KeptTenancy,
  type LeaseId,
} from "@mayfly/spec";
import { withRetries, type RetryPorts } from "./retry.ts";
import { texts, type Sql } from "./sql.ts";

interface TenancyRow {
  readonly slot: string;
  readonly generation: number;
  readonly lease_id: string;
  readonly has_ended: boolean;
  readonly kept_seconds: number;
}

const tenancyOf = (row: TenancyRow): KeptTenancy => ({
  slot: row.slot,
  generation: row.generation,
  leaseId: idFromUuid("lease", row.lease_id),
  hasEnded: row.has_ended,
  keptSeconds: row.kept_seconds,
});

/** Each slot with its last tenant; a lease that is kept no longer has ended. */
const keptTenancies = (sql: Sql) => sql`
  SELECT s.slot, s.generation::float8 AS generation, s.lease_id,
    coalesce(l.state = 'ended', true) AS has_ended,
    greatest(0, extract(epoch FROM CASE WHEN l.state <> 'ended' THEN s.quarantine
      ELSE mayfly.slot_free_at(s, l.state, l.outcome, l.ended_at, l.settle_by) - now() END)
    )::float8 AS kept_seconds
  FROM mayfly.backend_slots AS s LEFT JOIN mayfly.leases AS l ON l.id = s.lease_id`;

/** Of one backend. Each call is a statement of its own, so no slot is locked meanwhile. */
export function backendSlots(ports: RetryPorts, sql: Sql, id: BackendId): BackendSlots {
  const retried = <T>(run: () => Promise<T>): Promise<T> => withRetries(ports, run);
  return {
    take: (leaseId, wanted) => retried(() => take(sql, id, leaseId, wanted)),
    find: (leaseId) =>
      retried(async () => {
        const [row] = await sql<TenancyRow[]>`
          ${keptTenancies(sql)}
          WHERE s.backend_id = ${id} AND s.lease_id = ${uuidOfId(leaseId)}::uuid`;
        return row === undefined ? null : tenancyOf(row);
      }),
    last: (slot) =>
      retried(async () => {
        const [row] = await sql<TenancyRow[]>`
          ${keptTenancies(sql)}
          WHERE s.backend_id = ${id} AND s.slot = ${slot} AND s.lease_id IS NOT NULL`;
        return row === undefined ? null : tenancyOf(row);
      }),
  };
}

interface TakeRow {
  readonly slot: string | null;
  readonly generation: number | null;
  readonly free_in: number | null;
}

async function take(
  sql: Sql,
  id: BackendId,
  leaseId: LeaseId,
  { slots, quarantineSeconds }: Parameters<BackendSlots["take"]>[1],
): ReturnType<BackendSlots["take"]> {
  const [row] = await sql<TakeRow[]>`
    SELECT slot, generation::float8 AS generation, free_in
    FROM mayfly.take_backend_slot(${id}, ${uuidOfId(leaseId)}::uuid,
      ${texts(slots)}::text::jsonb, ${quarantineSeconds}::float8)`;
  const { slot = null, generation = null, free_in: freeInSeconds = null } = row ?? {};
  if (slot !== null && generation !== null) {
    return { kind: "taken", tenancy: { slot, generation, leaseId } };
  }
  return freeInSeconds === null ? { kind: "late" } : { kind: "busy", freeInSeconds };
}
