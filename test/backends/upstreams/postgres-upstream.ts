import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { createOrdersDatabase } from "@mayfly/dev";
import { startPostgres } from "@mayfly/embedded";
import { backendConfig } from "../../harness/index.ts";
import {
  alive,
  textIn,
  verdictOf,
  type CredentialData,
  type OwnLogin,
  type Registrar,
  type Upstream,
  type Verdict,
} from "./upstream.ts";

const SAID = {
  // No login, or one from which every right was taken.
  refused: /^(28P01|28000|42501)/,
  brokenOff: /^(57P01|53300|CONNECTION_CLOSED|CONNECTION_ENDED|ECONNRESET|CONNECT_TIMEOUT)/,
};
const OTHER_CONNECTIONS = 100;

/** With a server of its own, beside that of `orders-db`. */
export const postgresUpstream: Upstream = {
  type: "postgres",
  server: "postgres",
  outcome: "revoked",
  refusedBy: "a login",
  register: async ({ put, leasesMax }) => {
    const server = await startPostgres({
      settings: { max_connections: String(leasesMax + OTHER_CONNECTIONS) },
    });
    const { host, port } = server;
    const orders = await createOrdersDatabase(
      { host, port, superuserUrl: server.url("postgres") },
      randomBytes(16).toString("hex"),
    );
    const config = backendConfig(orders);
    await put("postgres", { type: "postgres", config }, { member_of: "app_reader" });
    const admin = postgres(server.url("postgres"), { max: 1 });
    const urlOf = (data: CredentialData): string =>
      server.url("orders", textIn(data, "username"), textIn(data, "password"));
    return {
      version: `PostgreSQL ${orders.serverVersion}`,
      tryCredential: (data) => tryUrl(urlOf(data), look),
      openSession: async (data) => {
        const sql = await connect(urlOf(data)).reserve();
        await look(sql);
        return {
          alive: () => alive(() => look(sql)),
          close: async () => undefined,
        };
      },
      live: async () => {
        const [row] = await admin<{ n: number }[]>`
          SELECT (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'mf\\_%')::int
            + (SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'mf\\_%')::int AS n`;
        return row?.n ?? Number.NaN;
      },
      ownLogin: async () => ({
        backend: "postgres",
        tryFirst: () => tryUrl(server.url("orders", orders.username, orders.password), logIn),
      }),
      stop: async () => {
        await admin.end({ timeout: 1 });
        await server.stop("immediate");
      },
    };
  },
};

type Look = (sql: postgres.Sql) => Promise<unknown>;
const look: Look = (sql) => sql`SELECT count(*) FROM orders WHERE id < 10`.execute();
const logIn: Look = (sql) => sql`SELECT 1`.execute();

const connect = (url: string): postgres.Sql =>
  postgres(url, {
    max: 1,
    fetch_types: false,
    connect_timeout: 10,
    onnotice: () => undefined,
    onclose: () => undefined,
  });

async function tryUrl(url: string, work: Look): Promise<Verdict> {
  const sql = connect(url);
  try {
    return await verdictOf(() => work(sql), SAID);
  } finally {
    await sql.end({ timeout: 0 });
  }
}

/** Of a credential of the server that the whole run shares. */
export const trySharedPostgres = (data: CredentialData): Promise<Verdict> =>
  tryUrl(textIn(data, "url"), look);

/** A backend `postgres-own` on that server, by a login that nobody else has. */
export async function sharedPostgresLogin({ mayfly, put }: Registrar): Promise<OwnLogin> {
  const username = `own_${randomBytes(6).toString("hex")}`;
  const password = randomBytes(24).toString("hex");
  await mayfly.customer.unsafe(`CREATE ROLE ${username} SUPERUSER LOGIN PASSWORD '${password}'`);
  const { host, port, database } = mayfly.orders;
  const config = { ...backendConfig(mayfly.orders), username, password };
  await put("postgres-own", { type: "postgres", config }, { member_of: "app_reader" });
  const url = `postgres://${username}:${password}@${host}:${port}/${database}`;
  return { backend: "postgres-own", tryFirst: () => tryUrl(url, logIn) };
}
