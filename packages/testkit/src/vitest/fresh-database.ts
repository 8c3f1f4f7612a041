import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { inject } from "vitest";
import type { ProvidedPostgres } from "./provided.ts";

/** A database that is made once in a run, and copied by each test file that names it. */
export interface DatabaseTemplate {
  /** Lower-case letters, digits and `_`, e.g. `ledger`. One name is always made in the same way. */
  readonly name: string;
  /** Fills it, connected as the superuser; has to close its connections before it returns. */
  make(url: string): Promise<void>;
}

export interface FreshDatabaseOptions {
  /** Begins the database's name, so that a server log says whose it is. Default: `test`. */
  readonly prefix?: string;
  readonly template?: DatabaseTemplate;
}

export interface TestDatabase {
  readonly name: string;
  /** The superuser's URL to it. */
  readonly url: string;
  /** The same database as another role. */
  urlAs(user: string, password: string): string;
}

/**
 * The PostgreSQL of this run (projects `integration`, `paired` and `system`).
 *
 * All files of the run share it: databases are a file's own, **roles are not**, so name them after
 * the database or at random.
 */
export const testPostgres = (): ProvidedPostgres => inject("mayflyPostgres");

/** A superuser's URL to a database of this run's PostgreSQL, or another role's. */
export function postgresUrl(
  database: string,
  { user, password } = testPostgres().superuser,
): string {
  const { host, port } = testPostgres();
  const url = new URL(`postgres://${host}:${port}/${database}`);
  url.username = encodeURIComponent(user);
  url.password = encodeURIComponent(password);
  return url.href;
}

/**
 * Makes an empty database, or a copy of a template, that no other test file uses. It is not
 * dropped: its server ends with the run, and after a failure it can be looked at until then.
 */
export async function freshDatabase(options: FreshDatabaseOptions = {}): Promise<TestDatabase> {
  const { prefix = "test", template } = options;
  const name = `${prefix}_${randomBytes(6).toString("hex")}`;
  await asSuperuser(async (sql) => {
    const source = template === undefined ? "template1" : await ensureTemplate(sql, template);
    await sql.unsafe(`CREATE DATABASE ${quoted(name)} TEMPLATE ${quoted(source)}`);
  });
  return {
    name,
    url: postgresUrl(name),
    urlAs: (user, password) => postgresUrl(name, { user, password }),
  };
}

/**
 * The name of the template's database, made if this is the first to ask. The lock is held by the
 * session, so of two processes one makes it and the other waits; one that died half-way through
 * left a database that is not marked as a template, and is made anew.
 */
async function ensureTemplate(sql: postgres.Sql, template: DatabaseTemplate): Promise<string> {
  const database = `template_${template.name}`;
  await sql`SELECT pg_advisory_lock(hashtext(${database}))`;
  try {
    const [made] = await sql`
      SELECT 1 FROM pg_database WHERE datname = ${database} AND datistemplate`;
    if (made !== undefined) return database;
    await sql.unsafe(`DROP DATABASE IF EXISTS ${quoted(database)} WITH (FORCE)`);
    await sql.unsafe(`CREATE DATABASE ${quoted(database)}`);
    await template.make(postgresUrl(database));
    await sql.unsafe(`ALTER DATABASE ${quoted(database)} WITH IS_TEMPLATE true`);
    return database;
  } finally {
    await sql`SELECT pg_advisory_unlock(hashtext(${database}))`;
  }
}

async function asSuperuser<T>(work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(postgresUrl("postgres"), { max: 1, onnotice: () => undefined });
  try {
    return await work(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}

function quoted(name: string): string {
  if (/^[a-z_][a-z0-9_]{0,62}$/.test(name)) return `"${name}"`;
  throw new Error(`"${name}" is no database name: 1 to 63 of a-z, 0-9 and _, no digit first`);
}
