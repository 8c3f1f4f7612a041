import { BrokerError, type Random, type Secret } from "@mayfly/spec";
import { faultOf, LedgerFault } from "./faults.ts";
import { scramVerifier } from "./scram-verifier.ts";
import type { Sql } from "./sql.ts";

/** Of the whole server, not of one database. */
export const DATABASE_ROLES = [
  "mayfly_migrator",
  "mayfly_broker",
  "mayfly_worker",
  "mayfly_auditor",
] as const;
export type DatabaseRole = (typeof DATABASE_ROLES)[number];

/** Passwords to set, for roles that shall log in; printable ASCII. */
export type RolePasswords = Partial<Readonly<Record<DatabaseRole, Secret>>>;

/** Roles are shared by all databases: another migrator may be touching the same ones. */
const CONCURRENT: ReadonlySet<string> = new Set(["23505", "XX000"]);

/** Makes the roles that are missing, without login, and gives the migrator its right. */
export async function ensureRoles(sql: Sql): Promise<void> {
  const existing = await sql<{ rolname: string }[]>`
    SELECT rolname FROM pg_roles WHERE rolname LIKE 'mayfly\\_%'`;
  const names = new Set(existing.map((row) => row.rolname));
  for (const role of DATABASE_ROLES.filter((each) => !names.has(each))) {
    await orExplain(
      role,
      DATABASE_ROLES.map((each) => `CREATE ROLE ${each} NOLOGIN;`).join(" "),
      () => sql`CREATE ROLE ${sql(role)} NOLOGIN`.execute(),
    );
  }
  const database = await readDatabase(sql);
  if (database.granted) return;
  const { name } = database;
  const remedy = `GRANT CREATE ON DATABASE ${name} TO mayfly_migrator;`;
  await orExplain("mayfly_migrator", remedy, async () => {
    await sql`GRANT CREATE ON DATABASE ${sql(name)} TO mayfly_migrator`;
    // Who may not grant this, but something else there, gets a mere warning.
    if (!(await readDatabase(sql)).granted) throw new LedgerFault("42501", "not granted", null);
  });
}

async function readDatabase(sql: Sql): Promise<{ name: string; granted: boolean }> {
  const [database] = await sql<{ name: string; granted: boolean }[]>`
    SELECT current_database() AS name,
      has_database_privilege('mayfly_migrator', current_database(), 'CREATE') AS granted`;
  if (database === undefined) throw new Error("the server answered without a row");
  return database;
}

/**
 * What is made from now on belongs to the migrator. From PostgreSQL 16 on, who made a role may
 * administer it and yet not act as it, until it grants itself that.
 */
export async function actAsMigrator(sql: Sql): Promise<void> {
  try {
    await sql`SET ROLE mayfly_migrator`;
    return;
  } catch (error) {
    if (faultOf(error)?.code !== "42501") throw error;
  }
  const [me] = await sql<{ name: string }[]>`SELECT current_user AS name`;
  const name = me?.name ?? "";
  await orExplain(name, `GRANT mayfly_migrator TO ${name};`, () =>
    sql`GRANT mayfly_migrator TO ${sql(name)}`.execute(),
  );
  await sql`SET ROLE mayfly_migrator`;
}

/** A right that is missing is told with the statement that gives it. */
async function orExplain(
  where: string,
  remedy: string,
  run: () => Promise<unknown>,
): Promise<void> {
  try {
    await repeatable(run);
  } catch (error) {
    const fault = faultOf(error);
    // Another migrator was first.
    if (fault?.code === "42710") return;
    if (fault?.code !== "42501") throw error;
    const message = `This login lacks a right. Run as a superuser, then migrate again: ${remedy}`;
    throw new BrokerError("check_failed", message, { where, cause: fault });
  }
}

export async function setPasswords(
  sql: Sql,
  passwords: RolePasswords,
  random: Random,
): Promise<void> {
  for (const role of DATABASE_ROLES) {
    const password = passwords[role];
    if (password === undefined) continue;
    if (!/^[\x20-\x7e]{8,256}$/.test(password.expose("crypto"))) {
      const message = `The password of ${role}: expected 8 to 256 printable ASCII characters`;
      throw new BrokerError("config_invalid", message, { where: role });
    }
    const verifier = scramVerifier(password, random);
    // A verifier is base64, $ and : alone, so it needs no quoting; ALTER ROLE takes no parameters.
    await repeatable(() => sql.unsafe(`ALTER ROLE ${role} LOGIN PASSWORD '${verifier}'`).execute());
  }
}

/** "tuple concurrently updated" has no class of its own: two migrators touched the same role. */
export async function repeatable(run: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await run();
      return;
    } catch (error) {
      const fault = faultOf(error);
      if (fault === null || !CONCURRENT.has(fault.code) || attempt === 5) throw error;
    }
  }
}
