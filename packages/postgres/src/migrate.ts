import type { FailPoints, Random } from "@mayfly/spec";
import { applyMigration } from "./apply-migration.ts";
import { boundAuditor } from "./bound-auditor.ts";
import { actAsMigrator, ensureRoles, setPasswords, type RolePasswords } from "./database-roles.ts";
import { faultOf, toBrokerError } from "./faults.ts";
import { ensureInstallation, selectInstallation, type Installation } from "./installation.ts";
import { migrationsDirectory, readMigrations } from "./migration-files.ts";
import { checkHistory, readApplied } from "./schema-version.ts";
import { connect, CONNECTION_LIMITS, databaseRoleOf, type Sql } from "./sql.ts";

export interface MigrateOptions {
  /**
   * As `mayfly_migrator`, or as somebody who may make roles and grants (a superuser, or CREATEROLE
   * and the database's owner). What is made belongs to `mayfly_migrator` in any case.
   */
  readonly url: string;
  readonly random: Random;
  /** Gives roles a login; without, the operator does. */
  readonly passwords?: RolePasswords;
  /** For tests of the migrations themselves. */
  readonly directory?: string;
  /** Where a crash test kills it. Default: nowhere. */
  readonly failPoints?: FailPoints;
}

export interface Migrated {
  /** Names of those that ran now. */
  readonly applied: readonly string[];
  readonly version: number;
  readonly installation: Installation;
}

/**
 * Brings the schema up to date: roles, then each missing migration in a transaction of its own,
 * whose version row goes in first, so that of two migrators one waits and finds it done.
 */
export async function migrate(options: MigrateOptions): Promise<Migrated> {
  const known = await readMigrations(options.directory ?? migrationsDirectory());
  // One connection: SET ROLE has to hold for all that follows.
  const sql = connect(options.url, "mayfly-migrate", 1, {
    ...CONNECTION_LIMITS,
    statementTimeoutMs: 10 * 60_000,
    lockTimeoutMs: 30_000,
    idleInTransactionMs: 60_000,
  });
  try {
    await ensureRoles(sql);
    if (options.passwords !== undefined) {
      await setPasswords(sql, options.passwords, options.random);
    }
    await boundAuditor(sql);
    await actAsMigrator(sql);
    await ensureVersionTable(sql);
    const applied: string[] = [];
    for (const migration of known) {
      checkHistory(known, await readApplied(sql));
      if (!(await applyMigration(sql, migration))) continue;
      applied.push(migration.name);
      await options.failPoints?.reached("migrate.applied");
    }
    checkHistory(known, await readApplied(sql));
    await ensureInstallation(sql, options.random);
    const installation = await selectInstallation(sql);
    if (installation === null) throw new Error("the installation's row is gone");
    return { applied, version: known.length, installation };
  } catch (error) {
    throw toBrokerError(error, databaseRoleOf(options.url));
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** `IF NOT EXISTS` does not wait for another session that is making the same: then once more. */
async function ensureVersionTable(sql: Sql): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await sql.unsafe(`
        CREATE SCHEMA IF NOT EXISTS mayfly;
        CREATE TABLE IF NOT EXISTS mayfly.schema_versions (
          version integer PRIMARY KEY,
          name text NOT NULL,
          checksum text NOT NULL,
          breaking boolean NOT NULL,
          applied_at timestamptz NOT NULL DEFAULT now()
        );`);
      return;
    } catch (error) {
      const code = faultOf(error)?.code;
      const raced = code === "23505" || code === "42P06" || code === "42P07";
      if (!raced || attempt === 5) throw error;
    }
  }
}
