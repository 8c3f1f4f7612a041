import type { CheckProblem } from "@mayfly/spec";
import type { Session } from "./endpoint.ts";
import { MysqlFailure } from "./mysql-failure.ts";
import { textIn } from "./servers.ts";

interface Surroundings {
  readonly isMariaDb: boolean;
  /** The broker's own account, as a statement takes it. */
  readonly me: string;
  readonly marksSchema: string;
}

/** Roles with which a lease could resist its end, or hand on what it may do. */
export async function tooPowerful(
  session: Session,
  members: readonly string[],
  surroundings: Surroundings,
): Promise<readonly CheckProblem[]> {
  const problems: CheckProblem[] = [];
  for (const role of members) {
    const grants = surroundings.isMariaDb
      ? await grantsOnMariaDb(session, role)
      : await grantsOnMysql(session, role);
    if (grants === null) problems.push(unreadable(role, surroundings));
    for (const grant of grants ?? []) {
      const problem = problemOf(role, grant, surroundings);
      if (problem !== null) problems.push(problem);
    }
  }
  const ofAll = surroundings.isMariaDb && members.length > 0 ? await grantsOfPublic(session) : [];
  for (const grant of ofAll) {
    const problem = problemOf("PUBLIC", grant, surroundings);
    if (problem !== null) problems.push(problem);
  }
  return problems;
}

const unreadable = (role: string, { isMariaDb, me }: Surroundings): CheckProblem => ({
  code: "role_unreadable",
  what: `What role ${role} may do could not be read, so nothing says that its leases end.`,
  fix: isMariaDb
    ? `GRANT \`${role}\` TO ${me} WITH ADMIN OPTION;`
    : `GRANT SELECT ON mysql.* TO ${me};`,
});

const HANDS_ON = /WITH (?:GRANT|ADMIN) OPTION/i;
const ADMINISTERS = new RegExp(
  "ALL PRIVILEGES|SUPER|CREATE (?:USER|ROLE)|FILE|SHUTDOWN|RELOAD|ADMIN|" +
    "(?:SET|SYSTEM).USER|EVENT|TRIGGER",
  "i",
);
const WRITES =
  /\b(?:ALL PRIVILEGES|INSERT|UPDATE|DELETE|DROP|ALTER|TRIGGER|EVENT|CREATE(?! TEMPORARY))\b/i;
/** Privileges, database and table of a grant on objects, the names with their quotes. */
const ON_OBJECTS =
  /^GRANT (.+?) ON (?:TABLE |FUNCTION |PROCEDURE )?(\*|[`"].+?[`"])\.(\*|[`"].+?[`"]) TO /i;

/**
 * MariaDB lets whoever has taken on a role name that role as the definer (`DEFINER=CURRENT_ROLE`),
 * and the role outlives the lease: an event of it goes on by itself, a trigger with each statement
 * of others, and a view or a routine hands its rights to whoever may use it. MySQL lets nobody name
 * another definer than themselves without a right over the whole server, and what a dropped account
 * defined fails there.
 */
const LEAVES_PROGRAMS = /\b(?:ALL PRIVILEGES|EVENT|TRIGGER|CREATE VIEW|CREATE ROUTINE)(?=,|$)/i;

function problemOf(
  role: string,
  grant: string,
  { isMariaDb, marksSchema }: Surroundings,
): CheckProblem | null {
  const [, privileges = "", database = "", table = ""] = ON_OBJECTS.exec(grant) ?? [];
  if (HANDS_ON.test(grant)) {
    return {
      code: "role_hands_on",
      what: `Role ${role} may give to others what it may do; that would outlive the lease.`,
      fix: `REVOKE GRANT OPTION (or the ADMIN OPTION) from \`${role}\`: ${grant}`,
    };
  }
  if (database === "*" && ADMINISTERS.test(privileges)) {
    return {
      code: "role_administers",
      what:
        `Role ${role} has privileges over the whole server, with which a lease resists ` +
        "its end.",
      fix: `REVOKE them, and grant what is needed on single databases: ${grant}`,
    };
  }
  const covers = (schema: string): boolean => isCovered(schema, database, table);
  if (WRITES.test(privileges) && ["mysql", marksSchema].some(covers)) {
    return {
      code: "role_writes_accounts",
      what:
        `Role ${role} may write to the server's own tables or to ours, which say what ` +
        "accounts there are.",
      fix: `REVOKE that, and grant what is needed on single databases: ${grant}`,
    };
  }
  if (isMariaDb && LEAVES_PROGRAMS.test(privileges)) {
    return {
      code: "role_leaves_programs",
      what:
        `Role ${role} may make events, triggers, views or routines. A lease can make them in the ` +
        "role's own name (DEFINER=CURRENT_ROLE), in which they go on after its end.",
      fix: `REVOKE EVENT, TRIGGER, CREATE VIEW and CREATE ROUTINE from ${role}: ${grant}`,
    };
  }
  return null;
}

/** A database that is named for all of its tables is a pattern, as of LIKE. */
export function isCovered(schema: string, database: string, table: string): boolean {
  if (database === "*") return true;
  const name = database.slice(1, -1);
  if (table !== "*") return name.toLowerCase() === schema.toLowerCase();
  const pattern = name.replaceAll(/\\?[^\\]|\\/g, (part) => {
    if (part === "%") return ".*";
    if (part === "_") return ".";
    const literal = part.startsWith("\\") && part.length > 1 ? part.slice(1) : part;
    return literal.replaceAll(/[^A-Za-z0-9_]/g, "\\$&");
  });
  return new RegExp(`^${pattern}$`, "i").test(schema);
}

/** Null where the server does not show them. */
async function shown(session: Session, text: string): Promise<readonly string[] | null> {
  try {
    const { rows } = await session.run(text);
    return rows.flatMap((row) => Object.values(row).filter((value) => typeof value === "string"));
  } catch (thrown) {
    if (thrown instanceof MysqlFailure && thrown.kind === "refused") return null;
    throw thrown;
  }
}

/** Of the role and of those that it has: shown to whoever has taken it on. */
async function grantsOnMariaDb(session: Session, role: string): Promise<readonly string[] | null> {
  const { rows } = await session.run("SELECT CURRENT_ROLE() AS role");
  const before = textIn(rows[0], "role");
  if ((await shown(session, `SET ROLE \`${role}\``)) === null) return null;
  try {
    return await shown(session, "SHOW GRANTS FOR CURRENT_ROLE");
  } finally {
    // The session may have its rights from a role of its own.
    await session.run(before === null ? "SET ROLE NONE" : `SET ROLE \`${before}\``);
  }
}

/** What everybody has, and so each role: of MariaDB from 10.11 on; others know no such role. */
async function grantsOfPublic(session: Session): Promise<readonly string[]> {
  return (await shown(session, "SHOW GRANTS FOR PUBLIC")) ?? [];
}

/** Of roles that are given to a role, the names. */
const OF_ROLES = /^GRANT ((?:[`"][^`"]+[`"]@[`"][^`"]*[`"],? ?)+) TO /i;
const ROLE = /[`"][^`"]+[`"]@[`"][^`"]*[`"]/g;
const ROLES_MAX = 100;

/** MySQL shows of the roles of a role only the names, to whoever may read its tables. */
async function grantsOnMysql(session: Session, role: string): Promise<readonly string[] | null> {
  const found: string[] = [];
  const roles = [`\`${role}\``];
  for (let nth = 0; nth < roles.length; nth++) {
    const grants = await shown(session, `SHOW GRANTS FOR ${roles[nth] ?? ""}`);
    if (grants === null || nth >= ROLES_MAX) return null;
    found.push(...grants);
    const inner = grants.flatMap((grant) => OF_ROLES.exec(`${grant} `)?.[1]?.match(ROLE) ?? []);
    roles.push(...inner.filter((name) => !roles.includes(name)));
  }
  return found;
}
