import { describeBackendContract, type BackendContractSubject } from "@mayfly/testkit/contract";
import { isInstalled } from "@mayfly/testkit/vitest";
import { describe } from "vitest";
import { mysqlBackend } from "./mysql-backend.ts";
import { startCustomerMysql } from "./testing/start-customer-mysql.ts";

const canary = 'canary-of-the-broker\'s "own" password';
const config = { host: "db.test", database: "orders", username: "mayfly", password: canary };
const role = { member_of: ["orders_writer", "orders_reader"] };

const inputs: BackendContractSubject["inputs"] = {
  config: {
    valid: [
      {
        ...config,
        port: 3307,
        tls: "unsafe_disable",
        account_host: "10.0.0.%",
        marks_schema: "brokers",
        replicas: [{ host: "replica.test" }],
        mint_slots: 8,
      },
      config,
    ],
    bad: [
      { input: { ...config, host: undefined }, names: "config.host" },
      { input: { ...config, host: "db test" }, names: "config.host" },
      { input: { ...config, port: 0 }, names: "config.port" },
      { input: { ...config, tls: "prefer" }, names: "config.tls" },
      { input: { ...config, ca: "no certificate" }, names: "config.ca" },
      { input: { ...config, replicas: [{ host: "x", prot: 1 }] }, names: "replicas[0].prot" },
      { input: { ...config, account_host: "a`b" }, names: "config.account_host" },
      { input: { ...config, marks_schema: "a`b" }, names: "config.marks_schema" },
      { input: { ...config, call_seconds_max: 16 }, names: "config.call_seconds_max" },
    ],
    secrets: [canary.slice(0, 20)],
  },
  role: {
    valid: [{ ...role, max_user_connections: 2 }, { member_of: "orders_reader" }],
    bad: [
      { input: {}, names: "role.member_of" },
      { input: { member_of: [] }, names: "role.member_of" },
      { input: { member_of: "a`; DROP USER root; -- " }, names: "role.member_of" },
      { input: { ...role, max_user_connections: 0 }, names: "role.max_user_connections" },
    ],
  },
  params: {
    valid: [{ member_of: "orders_reader", max_user_connections: 1 }, {}],
    bad: [{ input: { max_user_connections: 1.5 }, names: "params.max_user_connections" }],
  },
  narrowing: {
    role: { ...role, max_user_connections: 3 },
    wide: {},
    narrow: { member_of: ["orders_reader"], max_user_connections: 2 },
    tooWide: [
      { member_of: ["orders_owner"] },
      { member_of: ["orders_reader", "orders_owner"] },
      { max_user_connections: 4 },
    ],
  },
};

describe.runIf(await isInstalled("mariadb"))("MariaDB", () => {
  describeBackendContract({
    name: "MariaDB",
    backend: mysqlBackend,
    inputs,
    // Nothing listens on port 1 (tcpmux).
    unreachableConfig: { ...config, host: "127.0.0.1", port: 1, tls: "unsafe_disable" },
    protocol: "tcp",
    start: () => startCustomerMysql(),
  });
});
