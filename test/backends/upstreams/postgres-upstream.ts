import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { createOrdersDatabase } from "@mayfly/dev";
import { startPostgres } from "@mayfly/embedded";
import { backendConfig } from "../../harness/index.ts";
import { alive, textIn, verdictOf, type CredentialData, type Upstream } from "./upstream.ts";

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
    const connect = (data: CredentialData): postgres.Sql =>
      postgres(server.url("orders", textIn(data, "username"), textIn(data, "password")), {
        max: 1,
        fetch_types: false,
        connect_timeout: 10,
        onnotice: () => undefined,
        onclose: () => undefined,
      });
    const look = (sql: postgres.Sql): Promise<unknown> =>
      sql`SELECT count(*) FROM orders WHERE id < 10`.execute();
    return {
      version: `PostgreSQL ${orders.serverVersion}`,
      tryCredential: async (data) => {
        const sql = connect(data);
        try {
          return await verdictOf(() => look(sql), SAID);
        } finally {
          await sql.end({ timeout: 0 });
        }
      },
      openSession: async (data) => {
        const sql = await connect(data).reserve();
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
      stop: async () => {
        await admin.end({ timeout: 1 });
        await server.stop("immediate");
      },
    };
  },
};
