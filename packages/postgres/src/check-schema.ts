import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { BrokerError, type CheckProblem } from "@mayfly/spec";
import { DATABASE_ROLES } from "./database-roles.ts";
import { describeSchema } from "./describe-schema.ts";
import { toBrokerError } from "./faults.ts";
import { migrationsDirectory, readMigrations } from "./migration-files.ts";
import { checkCurrent, readApplied, readableSchema } from "./schema-version.ts";
import { connect, databaseRoleOf, type Sql, type Statement } from "./sql.ts";

export interface SchemaCheck {
  /** Of the last migration that ran; null before the first. */
  readonly version: number | null;
  readonly problems: readonly CheckProblem[];
}

/**
 * Whether the ledger's schema is this version's, and the database roles may do what they need and
 * nothing else: compared, right for right, with what the migrations add up to. With
 * `queueSchema`, also whether the queue's tables are there and its users may use them.
 */
export async function checkSchema(options: {
  readonly url: string;
  readonly queueSchema: string | null;
}): Promise<SchemaCheck> {
  const sql = connect(options.url, "mayfly-doctor", 1);
  try {
    const directory = migrationsDirectory();
    const known = await readMigrations(directory);
    const applied = await readApplied(sql, await readableSchema(sql));
    const version = applied.at(-1)?.version ?? null;
    if (version === null) return { version, problems: [NOT_MIGRATED] };
    const problems: CheckProblem[] = [];
    try {
      checkCurrent(known, applied);
    } catch (error) {
      if (!BrokerError.is(error)) throw error;
      problems.push({ code: "schema_version", what: error.message, fix: "Run: mayfly migrate" });
    }
    // Of another version the rights differ by what the migrations between changed.
    if (problems.length === 0 && version === known.length) {
      const expected = await readFile(join(directory, "schema.sql"), "utf8");
      problems.push(...rightsProblems(grantsOf(expected), grantsOf(await describeSchema(sql))));
    }
    problems.push(...(await roleProblems(sql)));
    if (options.queueSchema !== null) {
      problems.push(...(await queueProblems(sql, options.queueSchema)));
    }
    return { version, problems };
  } catch (error) {
    throw toBrokerError(error, databaseRoleOf(options.url));
  } finally {
    await sql.end({ timeout: 5 });
  }
}

const NOT_MIGRATED: CheckProblem = {
  code: "not_migrated",
  what: "The database has no ledger.",
  fix: "Run: mayfly migrate",
};

/** `UPDATE (state) ON mayfly.tasks TO mayfly_broker`, one for each right and role of ours. */
function grantsOf(description: string): ReadonlySet<string> {
  const grants = new Set<string>();
  let object = "";
  for (const line of description.split("\n")) {
    const head = /^-- (?:TABLE|VIEW|(FUNCTION)) (\S.*) owner /.exec(line);
    if (head !== null) object = `${head[1] === undefined ? "" : "FUNCTION "}${head[2] ?? ""}`;
    const grant = /^-- {3}GRANT (.+?)(?: \((.+)\))? TO (\S+)$/.exec(line);
    if (grant === null) continue;
    const [, privileges = "", columns, role = ""] = grant;
    if (!DATABASE_ROLES.some((each) => each === role)) continue;
    for (const privilege of privileges.split(", ")) {
      for (const column of columns?.split(", ") ?? [null]) {
        const what = column === null ? privilege : `${privilege} (${column})`;
        grants.add(`${what} ON ${object} TO ${role}`);
      }
    }
  }
  return grants;
}

function rightsProblems(
  expected: ReadonlySet<string>,
  found: ReadonlySet<string>,
): readonly CheckProblem[] {
  const split = (grant: string): readonly [right: string, role: string] => {
    const at = grant.lastIndexOf(" TO ");
    return [grant.slice(0, at).replace(" ON ", " on "), grant.slice(at + 4)];
  };
  const missing = [...expected].filter((grant) => !found.has(grant));
  const excess = [...found].filter((grant) => !expected.has(grant));
  return [
    ...missing.map((grant): CheckProblem => {
      const [right, role] = split(grant);
      return { code: "missing_right", what: `${role} lacks ${right}.`, fix: `GRANT ${grant};` };
    }),
    ...excess.map((grant): CheckProblem => {
      const [right, role] = split(grant);
      const fix = `REVOKE ${grant.replace(/ TO (\S+)$/, " FROM $1")};`;
      return { code: "excess_right", what: `${role} has ${right}.`, fix };
    }),
  ];
}

interface RoleRow {
  readonly role: string;
  readonly there: boolean;
  readonly powers: readonly string[];
  readonly groups: readonly string[];
}

/** Powers that no grant of the ledger's holds back, and groups that bring them. */
async function roleProblems(sql: Statement): Promise<readonly CheckProblem[]> {
  const rows = await sql<RoleRow[]>`
    SELECT n.name AS role, r.oid IS NOT NULL AS there,
      array_remove(ARRAY[
        CASE WHEN r.rolsuper THEN 'SUPERUSER' END,
        CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,
        CASE WHEN r.rolcreatedb THEN 'CREATEDB' END,
        CASE WHEN r.rolreplication THEN 'REPLICATION' END,
        CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END], NULL) AS powers,
      ARRAY(SELECT g.rolname::text FROM pg_roles AS g
        WHERE g.oid <> r.oid AND pg_has_role(r.oid, g.oid, 'MEMBER') AND NOT r.rolsuper
          AND g.rolname IN ('mayfly_migrator', 'mayfly_broker', 'mayfly_worker', 'mayfly_auditor',
            'pg_read_all_data', 'pg_write_all_data', 'pg_execute_server_program',
            'pg_write_server_files', 'pg_read_server_files')
        ORDER BY 1) AS groups
    FROM jsonb_array_elements_text(${JSON.stringify(DATABASE_ROLES)}::text::jsonb) AS n (name)
    LEFT JOIN pg_roles AS r ON r.rolname = n.name`;
  return rows.flatMap(({ role, there, powers, groups }): CheckProblem[] => {
    if (!there) {
      const what = `There is no database role ${role}.`;
      return [{ code: "missing_role", what, fix: "Run: mayfly migrate" }];
    }
    return [
      ...powers.map((power) => ({
        code: "role_too_powerful",
        what: `${role} has ${power}.`,
        fix: `ALTER ROLE ${role} NO${power};`,
      })),
      ...groups.map((group) => ({
        code: "role_too_powerful",
        what: `${role} is a member of ${group}.`,
        fix: `REVOKE ${group} FROM ${role};`,
      })),
    ];
  });
}

async function queueProblems(sql: Sql, schema: string): Promise<readonly CheckProblem[]> {
  const [row] = await sql<{ tables: number; broker: boolean | null; worker: boolean | null }[]>`
    SELECT (SELECT count(*)::integer FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = ${schema} AND c.relkind IN ('r', 'p')) AS tables,
      has_schema_privilege('mayfly_broker', to_regnamespace(${schema}), 'USAGE') AS broker,
      has_schema_privilege('mayfly_worker', to_regnamespace(${schema}), 'USAGE') AS worker`;
  if (row === undefined || row.tables === 0) {
    const what = `The queue's schema ${schema} is not there: ends wait for the sweep.`;
    return [{ code: "no_queue", what, fix: "Run: mayfly migrate, with MAYFLY_QUEUE=postgres" }];
  }
  return (["broker", "worker"] as const)
    .filter((each) => row[each] !== true)
    .map((each) => ({
      code: "missing_right",
      what: `mayfly_${each} lacks USAGE on the queue's schema ${schema}.`,
      fix: "Run: mayfly migrate, with MAYFLY_QUEUE=postgres",
    }));
}
