import postgres from "postgres";

/** What Mayfly needs to know of the customer's server in order to mint on it. */
export interface OrdersDatabase {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly username: string;
  readonly password: string;
  readonly serverVersion: string;
  readonly orders: number;
}

const ORDERS = 10_000;

/**
 * Makes a database that stands for a customer's: tables with rows, group roles that carry the
 * privileges, and an administrator for Mayfly that is no superuser. The statements are those that
 * `docs/backends/postgres.md` tells a platform team to run.
 */
export async function createOrdersDatabase(
  server: { readonly host: string; readonly port: number; readonly superuserUrl: string },
  password: string,
): Promise<OrdersDatabase> {
  const maintenance = postgres(server.superuserUrl, { max: 1, onnotice: () => undefined });
  try {
    const known = await maintenance`SELECT 1 FROM pg_database WHERE datname = 'orders'`;
    if (known.length === 0) await maintenance.unsafe("CREATE DATABASE orders");
  } finally {
    await maintenance.end();
  }
  const url = new URL(server.superuserUrl);
  url.pathname = "/orders";
  const sql = postgres(url.href, { max: 1, onnotice: () => undefined });
  try {
    await sql.unsafe(SCHEMA).simple();
    await sql.unsafe(roleStatements(password)).simple();
    const [row] = await sql<{ version: string; orders: number }[]>`
      SELECT current_setting('server_version') AS version, count(*)::int AS orders FROM orders`;
    return {
      host: server.host,
      port: server.port,
      database: "orders",
      username: "mayfly",
      password,
      serverVersion: row?.version ?? "",
      orders: row?.orders ?? 0,
    };
  } finally {
    await sql.end();
  }
}

const SCHEMA = `
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app_owner') THEN
    CREATE ROLE app_owner NOLOGIN; CREATE ROLE app_reader NOLOGIN; CREATE ROLE app_writer NOLOGIN;
  END IF;
END $$;
CREATE TABLE IF NOT EXISTS orders (
  id integer PRIMARY KEY, customer text NOT NULL, cents integer NOT NULL, placed_on date NOT NULL
);
ALTER TABLE orders OWNER TO app_owner;
GRANT SELECT ON orders TO app_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO app_writer;
INSERT INTO orders
SELECT n, 'customer-' || (n % 700), 100 + (n * 7919) % 90000, DATE '2026-10-01' + (n % 31)
FROM generate_series(1, ${ORDERS}) AS n
ON CONFLICT DO NOTHING;
`;

/** The administrator has CREATEROLE, may end sessions, and may hand out the two groups. */
const roleStatements = (password: string): string => `
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mayfly') THEN
    CREATE ROLE mayfly LOGIN CREATEROLE;
  END IF;
END $$;
ALTER ROLE mayfly PASSWORD '${password.replaceAll("'", "''")}';
GRANT pg_signal_backend TO mayfly;
GRANT app_owner TO mayfly;
GRANT app_reader, app_writer TO mayfly WITH ADMIN OPTION;
`;
