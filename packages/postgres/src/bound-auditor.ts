import { repeatable } from "./database-roles.ts";
import { faultOf } from "./faults.ts";
import type { Sql } from "./sql.ts";

/** What the auditor's sessions in this database begin with; each may set another for itself. */
export const AUDITOR_SETTINGS = {
  /** A query without an index, or a forgotten one, holds back vacuum and retention no longer. */
  statement_timeout: "5min",
  idle_in_transaction_session_timeout: "5min",
} as const;

/**
 * Bounds what the auditor, and any other login, can use up: no temporary tables by right of being
 * anybody, and times after which its sessions are cut. As far as who migrates may: the database's
 * owner takes the right of all, who made the role sets its times. What an operator set is left as
 * it is, and other roles that need temporary tables are granted them by name.
 */
export async function boundAuditor(sql: Sql): Promise<void> {
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
  const set = await sql<{ setting: string }[]>`
    SELECT split_part(unnest(s.setconfig), '=', 1) AS setting
    FROM pg_db_role_setting AS s JOIN pg_roles AS r ON r.oid = s.setrole
    WHERE r.rolname = 'mayfly_auditor' AND s.setdatabase IN (0, (
      SELECT oid FROM pg_database WHERE datname = current_database()))`;
  const known = new Set(set.map(({ setting }) => setting));
  for (const [setting, value] of Object.entries(AUDITOR_SETTINGS)) {
    if (known.has(setting)) continue;
    try {
      await repeatable(() =>
        sql`
          ALTER ROLE mayfly_auditor IN DATABASE ${sql(name)}
          SET ${sql(setting)} = ${sql(value)}`.execute(),
      );
    } catch (error) {
      if (faultOf(error)?.code !== "42501") throw error;
    }
  }
}
