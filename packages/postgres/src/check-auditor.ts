import type { CheckProblem } from "@mayfly/spec";
import { AUDITOR_CONNECTIONS } from "./bound-auditor.ts";
import {
  findPublicFunctions,
  LARGE_OBJECTS,
  leaveToUsers,
  LOCKING,
  type PublicFunctions,
} from "./public-functions.ts";
import type { Statement } from "./sql.ts";

/** Databases that one finding names; once these are closed, the next finding names more. */
const ELSEWHERE_MAX = 20;

interface AuditorFacts {
  readonly database: string;
  /** Whether somebody can log in as it, or has its rights. */
  readonly used: boolean;
  readonly unbounded: boolean;
  readonly temporary: boolean;
  /** Other databases of the server that it may log in to, quoted. */
  readonly elsewhere: readonly string[];
}

/**
 * What whoever reads the auditor's views could use up of the server, each with the statement that
 * takes it away: `mayfly migrate` did, where it might. Nothing where nobody is an auditor yet. All
 * locks of a server are in one table, so that what is open in another of its databases counts too,
 * and that is other people's to close.
 */
export async function auditorProblems(sql: Statement): Promise<readonly CheckProblem[]> {
  const facts = await readFacts(sql);
  const lacking = await missingLocks(sql);
  if (facts?.used !== true) return lacking;
  const { database, unbounded, temporary, elsewhere } = facts;
  const problems = [...lacking];
  problems.push(...(await openFunctions(sql, LOCKING, "auditor_locks_open")));
  problems.push(...(await openFunctions(sql, LARGE_OBJECTS, "auditor_large_objects_open")));
  if (temporary) {
    problems.push({
      code: "auditor_temporary_tables_open",
      what: "mayfly_auditor may make temporary tables until the disk is full.",
      fix:
        `GRANT TEMPORARY ON DATABASE ${database} TO mayfly_broker, mayfly_worker; ` +
        `REVOKE TEMPORARY ON DATABASE ${database} FROM PUBLIC;`,
    });
  }
  if (unbounded) {
    problems.push({
      code: "auditor_connections_open",
      what: "mayfly_auditor may open every connection that the server has.",
      fix: `ALTER ROLE mayfly_auditor CONNECTION LIMIT ${AUDITOR_CONNECTIONS};`,
    });
  }
  if (elsewhere.length > 0) {
    problems.push({
      code: "auditor_logs_in_elsewhere",
      what:
        `mayfly_auditor may log in to other databases of the server (${elsewhere.join(", ")}), ` +
        "and use up there what is taken from it here.",
      fix: elsewhere.map((each) => `REVOKE CONNECT ON DATABASE ${each} FROM PUBLIC;`).join(" "),
    });
  }
  return problems;
}

async function readFacts(sql: Statement): Promise<AuditorFacts | undefined> {
  const [row] = await sql<AuditorFacts[]>`
    SELECT quote_ident(current_database()) AS database, rolconnlimit = -1 AS unbounded,
      has_database_privilege(r.oid, current_database(), 'TEMPORARY') AS temporary,
      rolcanlogin OR EXISTS (
        SELECT FROM pg_auth_members AS m JOIN pg_roles AS member ON member.oid = m.member
        WHERE m.roleid = r.oid AND member.rolcanlogin
          AND NOT member.rolsuper AND NOT member.rolcreaterole) AS used,
      ARRAY(
        SELECT quote_ident(datname) FROM pg_database
        WHERE datallowconn AND datname <> current_database()
          AND has_database_privilege(r.oid, oid, 'CONNECT')
        ORDER BY 1 LIMIT ${ELSEWHERE_MAX}) AS elsewhere
    FROM pg_roles AS r WHERE rolname = 'mayfly_auditor'`;
  return row;
}

async function openFunctions(
  sql: Statement,
  functions: PublicFunctions,
  code: string,
): Promise<readonly CheckProblem[]> {
  const { isOpen } = await findPublicFunctions(sql, functions);
  if (!isOpen) return [];
  return [{ code, what: `mayfly_auditor may ${functions.may}.`, fix: leaveToUsers(functions) }];
}

/** Without them a queue on PostgreSQL stands still. */
async function missingLocks(sql: Statement): Promise<readonly CheckProblem[]> {
  const { without } = await findPublicFunctions(sql, LOCKING);
  return without.map((role) => ({
    code: "missing_right",
    what: `${role} may not take advisory locks, which a queue on PostgreSQL does.`,
    fix: leaveToUsers(LOCKING),
  }));
}
