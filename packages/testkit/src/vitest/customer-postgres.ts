import { randomBytes } from "node:crypto";
import {
  defaultPostgresVersion,
  postgresVersions,
  startPostgres,
  type EmbeddedPostgres,
  type PostgresVersion,
} from "@mayfly/embedded";
import postgres from "postgres";

/**
 * The major versions to test against: the default one, or those that `TEST_PG_VERSIONS` lists
 * (`15,16,17,18`). Throws at anything else, since a test of nothing is green.
 */
export function testedPostgresVersions(): readonly PostgresVersion[] {
  const wanted = process.env["TEST_PG_VERSIONS"];
  if (wanted === undefined || wanted === "") return [defaultPostgresVersion];
  return wanted.split(",").map((text) => {
    const version = postgresVersions.find((known) => String(known) === text.trim());
    if (version === undefined) throw new Error(`TEST_PG_VERSIONS: "${text}" is no known version`);
    return version;
  });
}

export interface CustomerPostgresOptions {
  readonly version?: PostgresVersion;
  readonly settings?: Readonly<Record<string, string>>;
  /** Receives each line of the server's log. */
  readonly log?: (line: string) => void;
}

/** Somebody's database server, on which a platform team has prepared what Mayfly needs. */
export interface CustomerPostgres {
  readonly server: EmbeddedPostgres;
  readonly version: PostgresVersion;
  /** With the tables `orders` (three rows) and `notes`. */
  readonly database: "orders";
  /** The broker's role: exactly the rights of docs/backends/postgres.md, no superuser. */
  readonly broker: { readonly username: "mayfly_broker"; readonly password: string };
  /** Group roles: `orders_reader` may SELECT, `orders_writer` may also change `orders`. */
  readonly groups: readonly ["orders_reader", "orders_writer"];
  readonly owner: "orders_owner";
  /** As the superuser, for looking and meddling; kept open until `stop`. */
  sql(database?: string): postgres.Sql;
  /** As anybody, one connection; the caller ends it. */
  connect(username: string, password: string, database?: string): postgres.Sql;
  stop(): Promise<void>;
}

export async function startCustomerPostgres(
  options: CustomerPostgresOptions = {},
): Promise<CustomerPostgres> {
  const version = options.version ?? defaultPostgresVersion;
  const server = await startPostgres({
    version,
    unsafeNoFsync: true,
    settings: { max_prepared_transactions: "10", ...options.settings },
    ...(options.log === undefined ? {} : { log: options.log }),
  });
  const clients = new Map<string, postgres.Sql>();
  const sql = (database = "orders"): postgres.Sql => {
    const known = clients.get(database);
    if (known !== undefined) return known;
    // Not by URL: the driver does not decode a name in one.
    const made = postgres({
      username: server.superuser.user,
      password: server.superuser.password,
      host: server.host,
      port: server.port,
      database,
      max: 4,
      onnotice: () => undefined,
    });
    clients.set(database, made);
    return made;
  };
  const password = randomBytes(18).toString("base64url");
  await sql("postgres").unsafe("CREATE DATABASE orders").simple();
  await sql().unsafe(prepared(version, password)).simple();
  return {
    server,
    version,
    database: "orders",
    broker: { username: "mayfly_broker", password },
    groups: ["orders_reader", "orders_writer"],
    owner: "orders_owner",
    sql,
    connect: (username, secret, database = "orders") =>
      postgres({
        host: server.host,
        port: server.port,
        database,
        username,
        password: secret,
        max: 1,
        connect_timeout: 10,
        fetch_types: false,
        onnotice: () => undefined,
      }),
    stop: async () => {
      await Promise.all([...clients.values()].map((client) => client.end({ timeout: 1 })));
      await server.stop("immediate");
    },
  };
}

const prepared = (version: PostgresVersion, password: string): string => `
  CREATE TABLE orders (id int PRIMARY KEY, item text NOT NULL);
  INSERT INTO orders VALUES (1, 'lamp'), (2, 'chair'), (3, 'table');
  CREATE TABLE notes (id int PRIMARY KEY, body text);
  CREATE ROLE orders_reader NOLOGIN;
  CREATE ROLE orders_writer NOLOGIN;
  CREATE ROLE orders_owner NOLOGIN;
  GRANT SELECT ON orders TO orders_reader;
  GRANT SELECT, INSERT, UPDATE ON orders TO orders_writer;
  CREATE ROLE mayfly_broker LOGIN CREATEROLE PASSWORD '${password}';
  GRANT pg_signal_backend TO mayfly_broker;
  ${
    version >= 16
      ? `GRANT orders_reader, orders_writer TO mayfly_broker
           WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
         GRANT orders_owner TO mayfly_broker WITH INHERIT TRUE, SET TRUE;`
      : "GRANT orders_owner TO mayfly_broker;"
  }`;
