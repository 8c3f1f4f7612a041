import { systemClock, systemRandom } from "@mayfly/host";
import { createTestBackendHost, createTestSlots } from "@mayfly/testkit";
import type { ContractUpstream } from "@mayfly/testkit/contract";
import {
  customerUpstream,
  startCustomerPostgres,
  type CustomerPostgres,
} from "@mayfly/testkit/vitest";

/** For the suite's leases, none of which it ends, and for its pools. */
const SLOTS = 260;
const SHARED = 200;

const slotNames = Array.from({ length: SLOTS }, (_, at) => `pool_${String(at).padStart(3, "0")}`);

/** A customer's PostgreSQL with roles that are used again, as the contract suite drives it. */
export async function startPooledRoles(): Promise<{
  readonly customer: CustomerPostgres;
  readonly upstream: ContractUpstream;
}> {
  const customer = await startCustomerPostgres();
  const platform = customer.connect(customer.broker.username, customer.broker.password);
  await platform.unsafe(
    slotNames.map((slot) => `CREATE ROLE ${slot} NOLOGIN IN ROLE orders_reader;`).join("\n"),
  );
  await platform.end();
  // The type replaces no secret of its broker's.
  const { rotation: _, ...base } = customerUpstream(customer, {
    clock: systemClock,
    random: systemRandom,
  });
  const slots = createTestSlots(systemClock);
  let used = SHARED;
  const configOf = (pool: readonly string[], at = {}): Record<string, unknown> => ({
    host: customer.server.host,
    port: customer.server.port,
    database: customer.database,
    ...customer.broker,
    slots: pool,
    ...at,
  });
  const route = base.route;
  const upstream: ContractUpstream = {
    ...base,
    config: configOf(slotNames.slice(0, SHARED)),
    role: { connections: 3 },
    params: {},
    host: (installation = "contract") =>
      createTestBackendHost({
        clock: systemClock,
        random: systemRandom,
        log: base.log,
        installation,
        quarantineSeconds: 1,
        slots: slots.slots,
      }),
    liveNames: async () => {
      const rows = await customer.sql()<{ name: string }[]>`
        SELECT split_part(shobj_description(oid, 'pg_authid'), ' ', 1) AS name FROM pg_roles
        WHERE rolname LIKE 'pool\\_%' AND rolcanlogin ORDER BY 1`;
      return rows.map(({ name }) => name);
    },
    forgeMark: async (name) => {
      const [row] = await customer.sql()<{ rolname: string; mark: string }[]>`
        SELECT rolname, shobj_description(oid, 'pg_authid') AS mark FROM pg_roles
        WHERE shobj_description(oid, 'pg_authid') LIKE ${`${name} %`}`;
      const forged = String(row?.mark).replace(/.{8}$/, "00000000");
      await customer.sql().unsafe(`COMMENT ON ROLE ${row?.rolname} IS '${forged}'`);
    },
    route: route === null ? null : { ...route, configAt: (at) => configOf(slotNames, at) },
    pool: {
      slots,
      quarantineSeconds: 3,
      configOf: (count) => configOf(slotNames.slice(used, (used += count))),
    },
  };
  return { customer, upstream };
}
