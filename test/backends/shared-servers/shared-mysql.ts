import { startTcpFaultProxy } from "@mayfly/testkit";
import { startCustomerMysql } from "../../../packages/backend-mysql/src/testing/start-customer-mysql.ts";
import { materialOf } from "../upstreams/upstream.ts";
import { isOf, saying, type RunningServer, type SharedServer } from "./shared-server.ts";

async function start(): Promise<RunningServer> {
  const customer = await startCustomerMysql();
  const proxy = await startTcpFaultProxy(customer.server);
  const config = { ...customer.config, port: proxy.port };
  return {
    type: "mysql",
    proxy,
    mintSends: [
      "FROM DUAL",
      "MAX_USER_CONNECTIONS",
      "GRANT `",
      "IDENTIFIED VIA",
      "ACCOUNT UNLOCK",
    ].map(saying),
    register: ({ put }) =>
      put("mysql", { type: "mysql", config }, { member_of: ["orders_reader"] }),
    liveNames: async (installation) => (await customer.liveNames()).filter(isOf(installation)),
    accepts: async (data) =>
      (await customer.tryCredential(materialOf(data, ["password"]))) === "accepted",
    stop: async () => {
      await proxy.stop();
      await customer.stop();
    },
  };
}

export const sharedMysql: SharedServer = { type: "mysql", server: "mariadb", start };
