import { repeatable } from "./database-roles.ts";
import { faultOf } from "./faults.ts";
import {
  findPublicFunctions,
  LARGE_OBJECTS,
  leaveToUsers,
  LOCKING,
  type PublicFunctions,
} from "./public-functions.ts";
import type { Sql } from "./sql.ts";

/** What the auditor's sessions in this database begin with; each may set another for itself. */
export const AUDITOR_SETTINGS = {
  /** A query without an index, or a forgotten one, holds back vacuum and retention no longer. */
  statement_timeout: "5min",
  idle_in_transaction_session_timeout: "5min",
  /** A forgotten session is none of {@link AUDITOR_CONNECTIONS} for longer. */
  idle_session_timeout: "1h",
} as const;

/**
 * Sessions of the auditor at once, in all databases of the server, so that it leaves connections
 * to brokers and workers. No session may change it.
 */
export const AUDITOR_CONNECTIONS = 10;

/**
 * Bounds what the auditor, and any other login, can use up: no temporary tables, advisory locks or
 * large objects by right of being anybody, a number of sessions, and times after which they are
 * cut. As far as who migrates may: the owner of the database and of PostgreSQL's functions takes
 * the rights of all, who made the role bounds it. What it may not do, it leaves, and
 * `auditorProblems` finds it. What an operator set is left as it is, and other roles that need what
 * is taken are granted it by name.
 */
export async function boundAuditor(sql: Sql): Promise<void> {
  const database = await takeTemporaryTables(sql);
  for (const each of [LOCKING, LARGE_OBJECTS]) await takePublicFunctions(sql, each);
  await boundConnections(sql);
  await boundTimes(sql, database);
}

/** Answers the database's name. */
async function takeTemporaryTables(sql: Sql): Promise<string> {
  const [database] = await sql<{ name: string; open: boolean }[]>`
    SELECT current_database() AS name, pg_has_role(datdba, 'USAGE')
      AND has_database_privilege('public', oid, 'TEMPORARY') AS open
    FROM pg_database WHERE datname = current_database()`;
  if (database === undefined) throw new Error("the server answered without a row");
  const { name, open } = database;
  if (open) {
    // A queue on PostgreSQL fills them; first, so that none is refused one meanwhile.
    await repeatable(() =>
      sql`GRANT TEMPORARY ON DATABASE ${sql(name)} TO mayfly_broker, mayfly_worker`.execute(),
    );
    await repeatable(() => sql`REVOKE TEMPORARY ON DATABASE ${sql(name)} FROM PUBLIC`.execute());
  }
  return name;
}

async function takePublicFunctions(sql: Sql, functions: PublicFunctions): Promise<void> {
  const { isOpen, without, mayChange } = await findPublicFunctions(sql, functions);
  if (!mayChange || (!isOpen && without.length === 0)) return;
  await repeatable(() => sql.unsafe(leaveToUsers(functions)).execute());
}

/** What is not the server's default, an operator chose: a higher number too. */
async function boundConnections(sql: Sql): Promise<void> {
  const [unbounded] = await sql`
    SELECT FROM pg_roles WHERE rolname = 'mayfly_auditor' AND rolconnlimit = -1`;
  if (unbounded === undefined) return;
  await asFarAsMay(() =>
    sql.unsafe(`ALTER ROLE mayfly_auditor CONNECTION LIMIT ${AUDITOR_CONNECTIONS}`).execute(),
  );
}

async function boundTimes(sql: Sql, database: string): Promise<void> {
  const set = await sql<{ setting: string }[]>`
    SELECT split_part(unnest(s.setconfig), '=', 1) AS setting
    FROM pg_db_role_setting AS s JOIN pg_roles AS r ON r.oid = s.setrole
    WHERE r.rolname = 'mayfly_auditor' AND s.setdatabase IN (0, (
      SELECT oid FROM pg_database WHERE datname = current_database()))`;
  const known = new Set(set.map(({ setting }) => setting));
  for (const [setting, value] of Object.entries(AUDITOR_SETTINGS)) {
    if (known.has(setting)) continue;
    await asFarAsMay(() =>
      sql`
        ALTER ROLE mayfly_auditor IN DATABASE ${sql(database)}
        SET ${sql(setting)} = ${sql(value)}`.execute(),
    );
  }
}

async function asFarAsMay(run: () => Promise<unknown>): Promise<void> {
  try {
    await repeatable(run);
  } catch (error) {
    if (faultOf(error)?.code !== "42501") throw error;
  }
}
