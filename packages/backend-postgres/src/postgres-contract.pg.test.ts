import { systemClock, systemRandom } from "@mayfly/host";
import { Secret, type Issued } from "@mayfly/spec";
import { createRecordingLog, createTestBackendHost } from "@mayfly/testkit";
import {
  describeBackendContract,
  type BackendContractSubject,
  type ContractUpstream,
} from "@mayfly/testkit/contract";
import {
  startCustomerPostgres,
  testedPostgresVersions,
  type CustomerPostgres,
} from "@mayfly/testkit/vitest";
import type { PostgresVersion } from "@mayfly/embedded";
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

function accountOf(material: Issued["material"]): readonly [string, string] {
  const { username, password } = material;
  if (typeof username !== "string" || !(password instanceof Secret)) throw new Error("no account");
  return [username, password.expose("upstream")];
}

async function tryLogin(
  customer: CustomerPostgres,
  material: Issued["material"],
): Promise<"accepted" | "refused"> {
  const sql = customer.connect(...accountOf(material));
  try {
    await sql`SELECT 1`;
    return "accepted";
  } catch {
    return "refused";
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** Writers of pg_authid wait, readers and logins do not. */
async function lockRoles(customer: CustomerPostgres): Promise<{ release(): Promise<void> }> {
  const session = await customer.sql().reserve();
  await session.unsafe("BEGIN; LOCK TABLE pg_authid IN SHARE ROW EXCLUSIVE MODE").simple();
  return {
    release: async () => {
      await session.unsafe("ROLLBACK");
      session.release();
    },
  };
}

async function start(version: PostgresVersion): Promise<ContractUpstream> {
  const customer = await startCustomerPostgres({ version });
  const log = createRecordingLog();
  return {
    clock: systemClock,
    config: {
      host: customer.server.host,
      port: customer.server.port,
      database: customer.database,
      ...customer.broker,
      tls: "unsafe_disable",
    },
    role,
    params: {},
    host: (installation = "contract") =>
      createTestBackendHost({
        clock: systemClock,
        random: systemRandom,
        log,
        installation,
        quarantineSeconds: 1,
      }),
    pass: (ms) => systemClock.sleep(ms),
    tryCredential: (material) => tryLogin(customer, material),
    openSession: async (material) => {
      const sql = customer.connect(...accountOf(material));
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
    liveNames: async () => {
      const rows = await customer.sql()<{ rolname: string }[]>`
        SELECT rolname FROM pg_roles WHERE rolname LIKE 'mf\\_%' AND rolcanlogin ORDER BY 1`;
      return rows.map(({ rolname }) => rolname);
    },
    block: () => lockRoles(customer),
    forgeMark: async (name) => {
      const [row] = await customer.sql()<{ comment: string }[]>`
        SELECT shobj_description(oid, 'pg_authid') AS comment FROM pg_roles
        WHERE rolname = ${name}`;
      const forged = String(row?.comment).replace(/"tag":"[0-9a-f]{8}/, '"tag":"00000000');
      await customer.sql().unsafe(`COMMENT ON ROLE "${name}" IS '${forged}'`);
    },
    weaken: async () => {
      await customer.sql().unsafe("REVOKE pg_signal_backend FROM mayfly_broker");
      return {
        restore: async () => {
          await customer.sql().unsafe("GRANT pg_signal_backend TO mayfly_broker");
        },
      };
    },
    stop: () => customer.stop(),
  };
}

for (const version of testedPostgresVersions()) {
  describeBackendContract({
    name: `PostgreSQL ${version}`,
    backend: postgresBackend,
    inputs,
    // Nothing listens on port 1 (tcpmux).
    unreachableConfig: { ...config, host: "127.0.0.1", port: 1, tls: "unsafe_disable" },
    start: () => start(version),
  });
}
