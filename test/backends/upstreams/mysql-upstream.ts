import { startCustomerMysql } from "../../../packages/backend-mysql/src/testing/start-customer-mysql.ts";
import { alive, materialOf, verdictOf, type CredentialData, type Upstream } from "./upstream.ts";

const SAID = {
  // Access denied, the account is locked, no right to the table any more.
  refused: /\b(1045|1142|1698|4151)\b/,
  brokenOff: /\b(1927|ECONNRESET|45009|45028|1040)\b/,
};
const LOOK = "SELECT COUNT(*) FROM orders.article";

export const mysqlUpstream: Upstream = {
  type: "mysql",
  server: "mariadb",
  outcome: "revoked",
  refusedBy: "a login",
  register: async ({ put, leasesMax }) => {
    const customer = await startCustomerMysql({ max_connections: String(leasesMax + 100) });
    const { config } = customer;
    await put("mysql", { type: "mysql", config }, { member_of: ["orders_reader"] });
    const [row] = await customer.sql("SELECT VERSION() AS version");
    const logIn = (data: CredentialData) => customer.logIn(materialOf(data, ["password"]));
    return {
      version: `MariaDB ${String(row?.["version"])}`,
      tryCredential: (data) =>
        verdictOf(async () => {
          const session = await logIn(data);
          await session.query(LOOK).finally(() => session.destroy());
        }, SAID),
      openSession: async (data) => {
        const session = await logIn(data);
        await session.query(LOOK);
        return {
          alive: () => alive(() => session.query(LOOK)),
          close: async () => session.destroy(),
        };
      },
      live: async () => (await customer.liveNames()).length,
      ownLogin: async () => ({
        backend: "mysql",
        tryFirst: () => verdictOf(async () => (await logIn(config)).end(), SAID),
      }),
      stop: () => customer.stop(),
    };
  },
};
