import {
  startCustomerPostgres,
  tryLogin,
  accountOf,
  type CustomerPostgres,
} from "@mayfly/testkit/vitest";
import type { VaultServer } from "./vault-server.ts";
import type { UseOfMaterial } from "./vault-upstream.ts";

export const DATABASE_ROLE = {
  dynamic: {
    path: "database/creds/reader",
    policies: ["db-reader"],
    secret: "password",
    shown: ["username"],
  },
} as const;

/** As docs/backends/vault.md says: the engine itself ends no session when it revokes. */
const ENDS_SESSIONS = [
  `ALTER ROLE "{{name}}" NOLOGIN`,
  `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}'`,
  `DROP OWNED BY "{{name}}"`,
  `DROP ROLE IF EXISTS "{{name}}"`,
];

/** A database engine over a real PostgreSQL. */
export async function mountDatabase(server: VaultServer): Promise<{
  readonly customer: CustomerPostgres;
  readonly use: UseOfMaterial;
}> {
  const customer = await startCustomerPostgres();
  const { host, port, superuser } = customer.server;
  await server.api("POST", "sys/mounts/database", { type: "database" });
  await server.api("POST", "database/config/orders", {
    plugin_name: "postgresql-database-plugin",
    connection_url: `postgresql://{{username}}:{{password}}@${host}:${port}/orders?sslmode=disable`,
    username: superuser.user,
    password: superuser.password,
    allowed_roles: "*",
  });
  await writeDatabaseRole(server);
  return { customer, use: useDatabase(customer) };
}

export async function writeDatabaseRole(
  server: VaultServer,
  revocation: readonly string[] = ENDS_SESSIONS,
): Promise<void> {
  await server.api("POST", "database/roles/reader", {
    db_name: "orders",
    creation_statements: [
      `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' IN ROLE orders_reader`,
    ],
    revocation_statements: revocation,
    default_ttl: "1h",
    max_ttl: "24h",
  });
}

const useDatabase = (customer: CustomerPostgres): UseOfMaterial => ({
  tryCredential: (material) => tryLogin(customer, material),
  openSession: async (material) => {
    const [username, password] = accountOf(material);
    const sql = customer.connect(username, password);
    const [first] = await sql`SELECT pg_backend_pid() AS pid`;
    return {
      // The client connects anew when it was cut, so the same process has to answer.
      alive: () =>
        sql`SELECT pg_backend_pid() AS pid, count(*) FROM orders`.then(
          ([now]) => now?.["pid"] === first?.["pid"],
          () => false,
        ),
      close: () => sql.end({ timeout: 0 }),
    };
  },
});

/** Accounts that the engine made and that are there still. */
export async function accountsOf(customer: CustomerPostgres): Promise<readonly string[]> {
  const rows = await customer.sql()<{ rolname: string }[]>`
    SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%' ORDER BY 1`;
  return rows.map(({ rolname }) => rolname);
}
