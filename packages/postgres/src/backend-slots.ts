import {
  idFromUuid,
  uuidOfId,
  type BackendId,
  type BackendSlots,
  type LeaseId,
  type Tenancy,
} from "@mayfly/spec";
import { withRetries, type RetryPorts } from "./retry.ts";
import { texts, type Sql } from "./sql.ts";

interface TenancyRow {
  readonly slot: string;
  readonly generation: number;
  readonly lease_id: string;
}

const tenancyOf = ({ slot, generation, lease_id }: TenancyRow): Tenancy => ({
  slot,
  generation,
  leaseId: idFromUuid("lease", lease_id),
});

/** Of one backend. Each call is a statement of its own, so no slot is locked meanwhile. */
export function backendSlots(ports: RetryPorts, sql: Sql, id: BackendId): BackendSlots {
  const retried = <T>(run: () => Promise<T>): Promise<T> => withRetries(ports, run);
  return {
    take: (leaseId, wanted) => retried(() => take(sql, id, leaseId, wanted)),
    find: (leaseId) =>
      retried(async () => {
        const [row] = await sql<TenancyRow[]>`
          SELECT slot, generation::float8 AS generation, lease_id FROM mayfly.backend_slots
          WHERE backend_id = ${id} AND lease_id = ${uuidOfId(leaseId)}::uuid`;
        return row === undefined ? null : tenancyOf(row);
      }),
    last: (slot) =>
      retried(async () => {
        const [row] = await sql<TenancyRow[]>`
          SELECT slot, generation::float8 AS generation, lease_id FROM mayfly.backend_slots
          WHERE backend_id = ${id} AND slot = ${slot} AND lease_id IS NOT NULL`;
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
