import { z } from "zod";
import { createConnection, type Connection } from "mariadb";
import { startMariadb, type EmbeddedMariadb } from "@mayfly/embedded";
import { systemClock, systemRandom } from "@mayfly/host";
import { Secret, type Issued } from "@mayfly/spec";
import { createRecordingLog, createTestBackendHost, type RecordingLog } from "@mayfly/testkit";
import type { ContractUpstream, HeldSession } from "@mayfly/testkit/contract";

const PASSWORD = "canary-of-the-brokers-password";

/** As `docs/backends/mysql.md` tells it. */
const AUTHORITY = [
  "CREATE DATABASE orders",
  "CREATE TABLE orders.article (id int PRIMARY KEY, name varchar(80))",
  "INSERT INTO orders.article VALUES (1, 'pencil')",
  "CREATE ROLE orders_reader",
  "GRANT SELECT ON orders.* TO orders_reader",
  "CREATE ROLE orders_writer",
  "GRANT SELECT, INSERT ON orders.* TO orders_writer",
  "CREATE DATABASE mayfly",
  `CREATE TABLE mayfly.leases (name varchar(64) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY,
    mark varchar(1000) CHARACTER SET ascii NOT NULL) ENGINE = InnoDB`,
  `CREATE USER mayfly IDENTIFIED BY '${PASSWORD}'`,
  "GRANT CREATE USER, PROCESS, CONNECTION ADMIN ON *.* TO mayfly",
  "GRANT SELECT (Host, User) ON mysql.user TO mayfly",
  "GRANT SELECT, INSERT, UPDATE, DELETE ON mayfly.leases TO mayfly",
  "GRANT orders_reader TO mayfly WITH ADMIN OPTION",
  "GRANT orders_writer TO mayfly WITH ADMIN OPTION",
];

/** A customer's MariaDB, made by its own administrator. */
export interface CustomerMysql extends ContractUpstream {
  readonly config: Readonly<Record<string, unknown>>;
  readonly server: EmbeddedMariadb;
  readonly log: RecordingLog;
  /** Statements of the administrator. */
  sql(text: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  logIn(material: Issued["material"]): Promise<Connection>;
  /** Somebody else's transaction has the mark of a name. */
  lockMark(name: string): Promise<{ release(): Promise<void> }>;
}

export function accountOf(material: Issued["material"]): readonly [string, string] {
  const { username, password } = material;
  if (typeof username !== "string" || !(password instanceof Secret)) throw new Error("no account");
  return [username, password.expose("upstream")];
}

async function connectAs(
  { host, port }: { readonly host: string; readonly port: number },
  [user, password]: readonly [string, string],
): Promise<Connection> {
  const login = { host, port, user, password, connectTimeout: 10_000, bigIntAsNumber: true };
  const session = await createConnection(login);
  // Cut by the server, it tells that by the next statement too.
  session.on("error", () => undefined);
  return session;
}

const rowsSchema = z.array(z.record(z.string(), z.unknown()));
const rowsOf = (answer: unknown): readonly Readonly<Record<string, unknown>>[] =>
  rowsSchema.safeParse(Array.isArray(answer) ? Array.from(answer) : []).data ?? [];

const configOf = ({ host, port }: EmbeddedMariadb) => ({
  host,
  port,
  database: "orders",
  username: "mayfly",
  password: PASSWORD,
  tls: "unsafe_disable",
});

/** `settings` are the server's variables. */
export async function startCustomerMysql(
  settings: Readonly<Record<string, string>> = {},
): Promise<CustomerMysql> {
  const server = await startMariadb({ settings });
  if (server.missing !== undefined) throw new Error(`${server.missing} is missing`);
  const root = await connectAs(server, ["root", server.password]);
  const sql = async (text: string) => rowsOf(await root.query(text));
  for (const statement of AUTHORITY) await sql(statement);
  const log = createRecordingLog();
  const config = configOf(server);
  return {
    server,
    log,
    sql,
    logIn: (material) => connectAs(server, accountOf(material)),
    lockMark: async (name) => {
      const session = await connectAs(server, ["root", server.password]);
      await session.query("START TRANSACTION");
      await session.query("SELECT mark FROM mayfly.leases WHERE name = ? FOR UPDATE", [name]);
      return {
        release: async () => {
          await session.query("ROLLBACK");
          await session.end();
        },
      };
    },
    clock: systemClock,
    config,
    role: { member_of: ["orders_writer", "orders_reader"] },
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
    tryCredential: (material) => tryCredential(server, material),
    openSession: (material) => openSession(server, material),
    // The driver gives JSON as an object, so the server is asked for what it holds.
    liveNames: async () =>
      (
        await sql(
          `SELECT User AS name FROM mysql.global_priv WHERE User LIKE 'mf\\_%'
           AND NOT REGEXP_REPLACE(Priv, ' ', '') LIKE '%"account_locked":true%'`,
        )
      ).map(({ name }) => String(name)),
    block: () => blockMarks(server),
    forgeMark: async (name) => {
      await sql(
        `UPDATE mayfly.leases SET mark = REPLACE(mark, '"tag":"', '"tag":"00')
         WHERE name = '${name}'`,
      );
    },
    route: {
      host: server.host,
      port: server.port,
      configAt: (at) => ({ ...config, ...at }),
    },
    weaken: async () => {
      await sql("REVOKE CONNECTION ADMIN ON *.* FROM mayfly");
      return {
        restore: async () => {
          await sql("GRANT CONNECTION ADMIN ON *.* TO mayfly");
        },
      };
    },
    rotation: {
      madeBy: "mayfly",
      login: async () => ({
        config,
        giveBack: async () => {
          await sql(`ALTER USER mayfly IDENTIFIED BY '${PASSWORD}'`);
        },
      }),
    },
    stop: async () => {
      await root.end();
      await server.stop();
    },
  };
}

/** Whoever wants to take a name waits for the table. */
async function blockMarks(server: EmbeddedMariadb): Promise<{ release(): Promise<void> }> {
  const session = await connectAs(server, ["root", server.password]);
  await session.query("LOCK TABLES mayfly.leases WRITE");
  return {
    release: async () => {
      await session.query("UNLOCK TABLES");
      await session.end();
    },
  };
}

async function tryCredential(
  server: EmbeddedMariadb,
  material: Issued["material"],
): Promise<"accepted" | "refused"> {
  try {
    const session = await connectAs(server, accountOf(material));
    await session.query("SELECT COUNT(*) FROM orders.article");
    await session.end();
    return "accepted";
  } catch {
    return "refused";
  }
}

async function openSession(
  server: EmbeddedMariadb,
  material: Issued["material"],
): Promise<HeldSession> {
  const session = await connectAs(server, accountOf(material));
  return {
    alive: () =>
      session.query("SELECT COUNT(*) FROM orders.article").then(
        () => true,
        () => false,
      ),
    close: async () => session.destroy(),
  };
}
