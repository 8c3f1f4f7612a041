import { leaseRoleOf, type SeenRole } from "./customer-watch.ts";
import { straysAmong, type Leak, type LedgerAndCustomer } from "./leaks.ts";

/** Roles are the whole server's, which installations share: each has slots of its own. */
export const slotPrefix = (installation: string): string => `pool_${installation}_`;

/** A slot as the customer's server shows it. */
interface SeenSlot extends SeenRole {
  readonly slot: string;
  readonly generation: string;
}

/** The slots that bear the mark of a tenant, under the name of its lease. */
const tenantsNow = ({ customer, installation }: LedgerAndCustomer): Promise<readonly SeenSlot[]> =>
  customer<SeenSlot[]>`
    SELECT oid::int8::float8 AS oid, rolname AS slot, rolcanlogin AS "canLogin",
      split_part(mark, ' ', 1) AS name, split_part(mark, ' ', 2) AS generation
    FROM pg_authid, shobj_description(oid, 'pg_authid') AS mark
    WHERE starts_with(rolname, ${slotPrefix(installation)})
      AND starts_with(mark, ${`mf_${installation}_`})`;

/** Invariant 1, of a pool; and every tenant whose lease is active has its slot. */
export async function strayTenants(around: LedgerAndCustomer): Promise<readonly Leak[]> {
  const strays = await straysAmong(around, () => tenantsNow(around));
  return [...strays, ...(await struckTenants(around)), ...(await tenantsTwice(around))];
}

/** A lease that was active before the look and is so after it was active meanwhile. */
async function struckTenants(around: LedgerAndCustomer): Promise<readonly Leak[]> {
  const before = await activeTenants(around);
  const there = new Set(
    (await tenantsNow(around))
      .filter(({ canLogin }) => canLogin)
      .map(({ slot, name, generation }) => `${slot} ${generation} ${name}`),
  );
  const after = new Set(await activeTenants(around));
  return before
    .filter((tenant) => after.has(tenant) && !there.has(tenant))
    .map((tenant) => ({ kind: "struck_tenant", words: `the active tenant ${tenant} has no slot` }));
}

async function activeTenants(around: LedgerAndCustomer): Promise<readonly string[]> {
  const rows = await around.ledger<{ slot: string; generation: string; lease: string }[]>`
    SELECT s.slot, s.generation::text AS generation,
      'lease_' || replace(l.id::text, '-', '') AS lease
    FROM mayfly.leases AS l JOIN mayfly.backend_slots AS s
      ON s.lease_id = l.id AND s.backend_id = l.backend_id
    WHERE l.state = 'active'`;
  return rows.map(
    ({ slot, generation, lease }) =>
      `${slot} ${generation} ${leaseRoleOf(around.installation, lease)}`,
  );
}

/** By the ledger: of one lease there is one tenancy. */
async function tenantsTwice({ ledger }: LedgerAndCustomer): Promise<readonly Leak[]> {
  const rows = await ledger<{ lease: string; times: number }[]>`
    SELECT lease_id::text AS lease, count(*)::int AS times FROM mayfly.events
    WHERE kind = 'lease.slot_taken' GROUP BY lease_id HAVING count(*) > 1`;
  return rows.map(({ lease, times }) => ({
    kind: "double_mint",
    words: `lease ${lease} took a slot ${times} times`,
  }));
}
