import { BrokerError, type Random, type Secret } from "@mayfly/spec";
import { faultOf } from "./faults.ts";
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

/** Roles are shared by all databases: another migrator may be making the same ones. */
const CONCURRENT: ReadonlySet<string> = new Set(["42710", "23505", "XX000"]);

/** Makes the roles that are missing, without login, and lets this session act as the migrator. */
export async function ensureRoles(sql: Sql): Promise<void> {
  const existing = await sql<{ rolname: string }[]>`
    SELECT rolname FROM pg_roles WHERE rolname LIKE 'mayfly\\_%'`;
  const names = new Set(existing.map((row) => row.rolname));
  for (const role of DATABASE_ROLES.filter((each) => !names.has(each))) {
    await createRole(sql, role);
  }
  const [me] = await sql<{ name: string; may_set: boolean; database: string }[]>`
    SELECT current_user AS name, current_database() AS database,
      pg_has_role('mayfly_migrator', 'MEMBER') AS may_set`;
  if (me === undefined || me.name === "mayfly_migrator") return;
  if (!me.may_set) await repeatable(() => sql`GRANT mayfly_migrator TO ${sql(me.name)}`.execute());
  await repeatable(() =>
    sql`GRANT CREATE ON DATABASE ${sql(me.database)} TO mayfly_migrator`.execute(),
  );
}

async function createRole(sql: Sql, role: DatabaseRole): Promise<void> {
  try {
    await sql`CREATE ROLE ${sql(role)} NOLOGIN`;
  } catch (error) {
    const fault = faultOf(error);
    if (fault !== null && CONCURRENT.has(fault.code)) return;
    if (fault?.code !== "42501") throw error;
    const statements = DATABASE_ROLES.map((each) => `CREATE ROLE ${each} NOLOGIN;`).join(" ");
    const message =
      `The database role ${role} is missing and may not be made with these rights. ` +
      `Run as a superuser, then migrate again: ${statements}`;
    throw new BrokerError("check_failed", message, { where: role, cause: fault });
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
async function repeatable(run: () => Promise<unknown>): Promise<void> {
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
