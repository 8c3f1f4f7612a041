import { systemClock, systemRandom } from "@mayfly/host";
import { describeBackendContract, type BackendContractSubject } from "@mayfly/testkit/contract";
import {
  customerUpstream,
  startCustomerPostgres,
  testedPostgresVersions,
} from "@mayfly/testkit/vitest";
import { postgresBackend } from "./postgres-backend.ts";

const canary = 'canary-of-the-broker\'s "own" password';
const config = {
  host: "db.test",
  database: "orders",
  username: "mayfly",
  password: canary,
};
const role = { member_of: ["orders_writer", "orders_reader"], owner: "orders_owner" };

const inputs: BackendContractSubject["inputs"] = {
  config: {
    valid: [
      {
        ...config,
        port: 6432,
        tls: "unsafe_disable",
        standbys: [{ host: "replica.test" }],
        scram_iterations: 1,
        reassign_to: 'a"b',
        on_owned_objects: "drop",
      },
      config,
    ],
    bad: [
      { input: { ...config, host: undefined }, names: "config.host" },
      { input: { ...config, host: "db test" }, names: "config.host" },
      { input: { ...config, port: 0 }, names: "config.port" },
      { input: { ...config, tls: "prefer" }, names: "config.tls" },
      { input: { ...config, ca: "no certificate" }, names: "config.ca" },
      { input: { ...config, standbys: [{ host: "x", prot: 1 }] }, names: "standbys[0].prot" },
      { input: { ...config, scram_iterations: 0 }, names: "config.scram_iterations" },
      { input: { ...config, call_seconds_max: 16 }, names: "config.call_seconds_max" },
      { input: { ...config, on_owned_objects: "keep" }, names: "config.on_owned_objects" },
    ],
    secrets: [canary.slice(0, 20)],
  },
  role: {
    valid: [
      {
        ...role,
        connection_limit: 2,
        search_path: ["orders", "public"],
        statement_timeout_seconds: 30,
        read_only: true,
      },
      { member_of: "orders_reader" },
    ],
    bad: [
      { input: {}, names: "role.member_of" },
      { input: { member_of: [] }, names: "role.member_of" },
      { input: { member_of: "x".repeat(64) }, names: "role.member_of" },
      { input: { ...role, connection_limit: 0 }, names: "role.connection_limit" },
      { input: { ...role, owner: "a\0b" }, names: "role.owner" },
      { input: { ...role, read_only: "yes" }, names: "role.read_only" },
    ],
  },
  params: {
    valid: [
      { member_of: "orders_reader", connection_limit: 1, statement_timeout_seconds: 5 },
      { read_only: true },
      {},
    ],
    bad: [
      { input: { read_only: false }, names: "params.read_only" },
      { input: { connection_limit: 1.5 }, names: "params.connection_limit" },
    ],
  },
  narrowing: {
    role: { ...role, connection_limit: 3, statement_timeout_seconds: 60 },
    wide: {},
    narrow: {
      member_of: ["orders_reader"],
      connection_limit: 2,
      statement_timeout_seconds: 5,
      read_only: true,
    },
    tooWide: [
      { member_of: ["orders_owner"] },
      { member_of: ["orders_reader", "orders_owner"] },
      { connection_limit: 4 },
      { statement_timeout_seconds: 61 },
    ],
  },
};

for (const version of testedPostgresVersions()) {
  describeBackendContract({
    name: `PostgreSQL ${version}`,
    backend: postgresBackend,
    inputs,
    // Nothing listens on port 1 (tcpmux).
    unreachableConfig: { ...config, host: "127.0.0.1", port: 1, tls: "unsafe_disable" },
    protocol: "tcp",
    start: async () =>
      customerUpstream(await startCustomerPostgres({ version }), {
        clock: systemClock,
        random: systemRandom,
      }),
  });
}
