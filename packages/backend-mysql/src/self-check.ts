import type { CallContext, CheckProblem, JsonObject, SelfCheck } from "@mayfly/spec";
import { seesAllSessions } from "./end-accounts.ts";
import type { Row, Session } from "./endpoint.ts";
import { MysqlFailure } from "./mysql-failure.ts";
import { leases } from "./role-settings.ts";
import { tooPowerful } from "./role-power.ts";
import { deadlineIn, NOW_MS, numberIn, textIn, type Servers } from "./servers.ts";

/** Proves each right that a lease's life needs, by looking, and by a row that is rolled back. */
export async function selfCheck(
  servers: Servers,
  roles: readonly JsonObject[],
  context: CallContext,
): Promise<SelfCheck> {
  const deadline = deadlineIn(context, servers.settings.call_seconds_max * 1_000);
  const found = await servers.work.session(deadline, (session) => check(servers, session, roles));
  const onReplicas = await Promise.all(
    servers.replicas.map(async (replica) =>
      (await replica.session(deadline, (session) => rightsToEnd(servers, session))).map(
        (problem) => ({ ...problem, what: `Replica ${replica.at}: ${problem.what}` }),
      ),
    ),
  );
  return { ...found, problems: [...found.problems, ...onReplicas.flat()] };
}

async function check(
  servers: Servers,
  session: Session,
  roles: readonly JsonObject[],
): Promise<SelfCheck> {
  const isMariaDb = await servers.isMariaDb(session);
  const sentAt = servers.host.clock.now();
  const { rows } = await session.run(
    `SELECT VERSION() AS version, CURRENT_USER() AS me, ${NOW_MS} AS now_ms,
       ${isMariaDb ? "@@server_uid" : "@@server_uuid"} AS identity`,
  );
  const [facts] = rows;
  const me = accountText(textIn(facts, "me") ?? "");
  const members = [...new Set(roles.flatMap((role) => leases.roleOf(role).member_of))];
  const problems = [
    ...(await missingPrivileges(session, me, [
      ["CREATE USER", "make, lock and drop the accounts of leases"],
    ])),
    ...(await rightsToEnd(servers, session)),
    ...(await marksTable(servers, session, me)),
    ...(await ungrantable(session, members, me)),
    ...(await tooPowerful(session, members, {
      isMariaDb,
      me,
      marksSchema: servers.settings.marks_schema,
    })),
    ...(await unseenServers(session, 1 + servers.replicas.length)),
  ];
  return {
    upstreamIdentity: `mysql:${textIn(facts, "identity") ?? ""}`,
    clockSkewMs: numberIn(facts, "now_ms") - sentAt,
    facts: { version: textIn(facts, "version") ?? "", server: isMariaDb ? "MariaDB" : "MySQL" },
    problems,
  };
}

/** What an end needs on every server: to see accounts and sessions, and to end sessions. */
async function rightsToEnd(servers: Servers, session: Session): Promise<readonly CheckProblem[]> {
  const { rows } = await session.run("SELECT CURRENT_USER() AS me");
  const me = accountText(textIn(rows[0], "me") ?? "");
  const kill = (await servers.isMariaDb(session)) ? "CONNECTION ADMIN" : "CONNECTION_ADMIN";
  const process = (await seesAllSessions(session))
    ? []
    : [lacks(me, "PROCESS", "see their sessions")];
  return [
    ...process,
    ...(await missingPrivileges(session, me, [[kill, "end their sessions"]])),
    ...(await unreadable(session, me)),
  ];
}

/** `name@host` as a statement takes it. */
const accountText = (me: string): string => {
  const at = me.lastIndexOf("@");
  return `\`${me.slice(0, at)}\`@\`${me.slice(at + 1)}\``;
};

const upper = (row: Row, column: string): string => (textIn(row, column) ?? "").toUpperCase();

/** Whoever may read the server's tables is shown what others have, too. */
const PRIVILEGES = `SELECT PRIVILEGE_TYPE AS privilege FROM information_schema.USER_PRIVILEGES
  WHERE REPLACE(GRANTEE, '''', '') = CURRENT_USER()`;

async function missingPrivileges(
  session: Session,
  me: string,
  needed: readonly (readonly [privilege: string, whatFor: string])[],
): Promise<readonly CheckProblem[]> {
  const { rows } = await session.run(PRIVILEGES);
  const has = new Set(rows.map((row) => upper(row, "privilege")));
  return needed
    .filter(
      ([privilege]) =>
        !has.has(privilege) && !(privilege.startsWith("CONNECTION") && has.has("SUPER")),
    )
    .map(([privilege, whatFor]) => lacks(me, privilege, whatFor));
}

const lacks = (me: string, privilege: string, whatFor: string): CheckProblem => ({
  code: `no_${privilege.toLowerCase().replaceAll(/[ _]/g, "_")}`,
  what: `The broker's account lacks ${privilege}, so it cannot ${whatFor}.`,
  fix: `GRANT ${privilege} ON *.* TO ${me};`,
});

/** The problem, where the statement is refused. */
async function refused(
  session: Session,
  text: string,
  problem: CheckProblem,
): Promise<readonly CheckProblem[]> {
  try {
    await session.run(text);
    return [];
  } catch (thrown) {
    if (thrown instanceof MysqlFailure && thrown.kind === "refused") return [problem];
    throw thrown;
  }
}

const unreadable = (session: Session, me: string): Promise<readonly CheckProblem[]> =>
  refused(session, "SELECT Host, User FROM mysql.user LIMIT 1", {
    code: "accounts_unreadable",
    what: "The broker's account cannot see which accounts there are, so it can prove no end.",
    fix: `GRANT SELECT (Host, User) ON mysql.user TO ${me};`,
  });

async function marksTable(
  { marks, settings }: Servers,
  session: Session,
  me: string,
): Promise<readonly CheckProblem[]> {
  const problem = {
    code: "no_marks_table",
    what:
      `The table ${settings.marks_schema}.leases cannot be written: it says which accounts ` +
      "are ours.",
    fix:
      `CREATE DATABASE IF NOT EXISTS \`${settings.marks_schema}\`; ` +
      `CREATE TABLE IF NOT EXISTS ${marks} (name varchar(64) CHARACTER SET ascii ` +
      "COLLATE ascii_bin PRIMARY KEY, mark varchar(1000) CHARACTER SET ascii NOT NULL) " +
      `ENGINE = InnoDB; GRANT SELECT, INSERT, UPDATE, DELETE ON ${marks} TO ${me};`,
  };
  await session.run("START TRANSACTION");
  try {
    for (const text of [
      `INSERT INTO ${marks} (name, mark) VALUES ('self-check', '')`,
      `UPDATE ${marks} SET mark = '-' WHERE name = 'self-check'`,
      `DELETE FROM ${marks} WHERE name = 'self-check'`,
    ]) {
      const found = await refused(session, text, problem);
      if (found.length > 0) return found;
    }
    return [];
  } finally {
    await session.run("ROLLBACK");
  }
}

async function ungrantable(
  session: Session,
  members: readonly string[],
  me: string,
): Promise<readonly CheckProblem[]> {
  const { rows } = await session.run(
    "SELECT ROLE_NAME AS name, IS_GRANTABLE AS grantable FROM information_schema.APPLICABLE_ROLES",
  );
  const granted = new Set(
    rows.filter((row) => upper(row, "grantable") === "YES").map((row) => textIn(row, "name")),
  );
  return members
    .filter((role) => !granted.has(role))
    .map((role) => ({
      code: "role_not_grantable",
      what: `The broker's account may not give role ${role} to anybody, or there is no such role.`,
      fix: `GRANT \`${role}\` TO ${me} WITH ADMIN OPTION;`,
    }));
}

/** Sessions are looked for on the configured servers alone, and a node of Galera lets leases in. */
export async function unseenServers(
  session: Session,
  configured: number,
): Promise<readonly CheckProblem[]> {
  const { rows } = await session.run("SHOW GLOBAL STATUS LIKE 'wsrep_cluster_size'");
  const size = Number(rows[0] === undefined ? 0 : textIn(rows[0], "Value"));
  if (size <= configured) return [];
  return [
    {
      code: "cluster_not_supported",
      what:
        `The server is one of a cluster of ${size}, and ${configured} are configured: sessions ` +
        "on the others would outlive their leases.",
      fix: "Use a server that is in no cluster of several primaries.",
    },
  ];
}
