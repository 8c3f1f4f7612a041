import type { CheckProblem, Clock } from "@mayfly/spec";
import { auditorProblems } from "./check-auditor.ts";
import { toBrokerError } from "./faults.ts";
import { connect, databaseRoleOf, type Sql, type Statement } from "./sql.ts";
import type { DatabaseRole } from "./database-roles.ts";

export interface ServerCheck {
  readonly version: string;
  /** The server's clock minus ours; the round trip's half is its error. */
  readonly clockSkewMs: number;
  readonly facts: Readonly<Record<string, string | boolean | number>>;
  readonly problems: readonly CheckProblem[];
}

export const OLDEST_MAJOR = 15;
const SKEW_MAX_MS = 60_000;

/** What the ledger assumes of its server: no acknowledged commit is lost, and rights are few. */
export async function checkServer(options: {
  readonly url: string;
  readonly clock: Clock;
}): Promise<ServerCheck> {
  const sql = connect(options.url, "mayfly-doctor", 1);
  try {
    const facts = await readFacts(sql);
    const clockSkewMs = await measureSkew(sql, options.clock);
    const rights = facts.migrated
      ? [...(await excessRights(sql)), ...(await auditorProblems(sql))]
      : [];
    return {
      version: facts.version,
      clockSkewMs,
      facts: { ...facts },
      problems: [...serverProblems(facts, clockSkewMs), ...rights],
    };
  } catch (error) {
    throw toBrokerError(error, databaseRoleOf(options.url));
  } finally {
    await sql.end({ timeout: 5 });
  }
}

interface ServerFacts {
  readonly version: string;
  readonly major: number;
  readonly fsync: string;
  readonly full_page_writes: string;
  readonly synchronous_commit: string;
  readonly in_recovery: boolean;
  readonly user_name: string;
  readonly superuser: boolean;
  readonly migrated: boolean;
}

async function readFacts(sql: Sql): Promise<ServerFacts> {
  const [row] = await sql<ServerFacts[]>`
    SELECT current_setting('server_version') AS version,
      current_setting('server_version_num')::integer / 10000 AS major,
      current_setting('fsync') AS fsync,
      current_setting('full_page_writes') AS full_page_writes,
      current_setting('synchronous_commit') AS synchronous_commit,
      pg_is_in_recovery() AS in_recovery, current_user AS user_name,
      (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,
      EXISTS (
        SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = 'mayfly' AND c.relname = 'schema_versions') AS migrated`;
  if (row === undefined) throw new Error("the server answered without a row");
  return row;
}

async function measureSkew(sql: Statement, clock: Clock): Promise<number> {
  const before = clock.now();
  const [row] = await sql<{ now_ms: number }[]>`
    SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now_ms`;
  const after = clock.now();
  return (row?.now_ms ?? after) - (before + after) / 2;
}

function serverProblems(facts: ServerFacts, skewMs: number): readonly CheckProblem[] {
  const problems: CheckProblem[] = [];
  const add = (code: string, what: string, fix: string): void => {
    problems.push({ code, what, fix });
  };
  if (facts.major < OLDEST_MAJOR) {
    add(
      "server_too_old",
      `PostgreSQL ${facts.version}`,
      `Use PostgreSQL ${OLDEST_MAJOR} or newer.`,
    );
  }
  if (facts.in_recovery) {
    add("server_is_standby", "The server is a standby.", "Name the primary in the ledger's URL.");
  }
  if (facts.fsync !== "on") {
    add(
      "fsync_off",
      "fsync is off: a crash loses acknowledged commits.",
      "ALTER SYSTEM SET fsync = on;",
    );
  }
  if (facts.full_page_writes !== "on") {
    add(
      "full_page_writes_off",
      "full_page_writes is off: a crash may tear pages.",
      "ALTER SYSTEM SET full_page_writes = on;",
    );
  }
  if (facts.synchronous_commit === "off") {
    add(
      "synchronous_commit_off",
      "synchronous_commit is off: a crash loses acknowledged commits.",
      "ALTER SYSTEM SET synchronous_commit = on;",
    );
  }
  if (Math.abs(skewMs) > SKEW_MAX_MS) {
    add(
      "clock_skew",
      `The server's clock is ${Math.round(skewMs / 1000)} s from ours.`,
      "Synchronise both machines' clocks.",
    );
  }
  if (facts.superuser) {
    add(
      "connected_as_superuser",
      `${facts.user_name} is a superuser, whom no grant holds.`,
      "Connect as mayfly_broker or mayfly_worker.",
    );
  }
  return problems;
}

/** What is only ever appended must stay so for each of our roles. */
const APPEND_ONLY = ["events", "decisions", "log_entries"] as const;
const ROLES: readonly DatabaseRole[] = ["mayfly_broker", "mayfly_worker", "mayfly_auditor"];

/** By OID: asked by its name for a role that was just dropped, the server fails the statement. */
async function excessRights(sql: Statement): Promise<readonly CheckProblem[]> {
  const found = await sql<{ role: string; table_name: string; privilege: string }[]>`
    SELECT r.rolname AS role, c.relname AS table_name, p.privilege
    FROM pg_roles AS r, pg_class AS c,
      unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) AS p (privilege)
    WHERE r.rolname IN (SELECT jsonb_array_elements_text(${JSON.stringify(ROLES)}::text::jsonb))
      AND c.relnamespace = 'mayfly'::regnamespace AND c.relkind IN ('r', 'p')
      AND has_table_privilege(r.oid, c.oid, p.privilege)
      AND (p.privilege <> 'UPDATE' OR c.relname IN (
        SELECT jsonb_array_elements_text(${JSON.stringify(APPEND_ONLY)}::text::jsonb)))
    ORDER BY 1, 2, 3`;
  return found.map(({ role, table_name: table, privilege }) => ({
    code: "excess_right",
    what: `${role} has ${privilege} on mayfly.${table}.`,
    fix: `REVOKE ${privilege} ON mayfly.${table} FROM ${role};`,
  }));
}
