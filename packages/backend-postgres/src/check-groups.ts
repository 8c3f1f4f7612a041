import { z } from "zod";
import type { CheckProblem } from "@mayfly/spec";
import { reachedFrom } from "./check-handing-on.ts";
import type { Deadline } from "./endpoint.ts";
import type { Lane } from "./lane.ts";
import { quoteIdentifier, quoteLiteral } from "./quote.ts";

/** Predefined roles that reach beyond the database, or at other people's sessions. */
const BEYOND_SCOPE = [
  "pg_execute_server_program",
  "pg_write_server_files",
  "pg_read_server_files",
  "pg_signal_backend",
  "pg_signal_autovacuum_worker",
  "pg_create_subscription",
  "pg_use_reserved_connections",
  "pg_checkpoint",
  "pg_maintain",
] as const;

/** Each with the attribute that takes it away. */
const ATTRIBUTES = [
  ["superuser", "NOSUPERUSER"],
  ["createrole", "NOCREATEROLE"],
  ["createdb", "NOCREATEDB"],
  ["bypassrls", "NOBYPASSRLS"],
  ["replication", "NOREPLICATION"],
] as const;

const inheritedRows = z.array(
  z.object({
    group_role: z.string(),
    rolname: z.string(),
    superuser: z.boolean(),
    createrole: z.boolean(),
    createdb: z.boolean(),
    bypassrls: z.boolean(),
    replication: z.boolean(),
    owns: z.int(),
    /** Statements that take back what its future objects would be shared with. */
    sharing: z.array(z.string()),
    databases: z.array(z.string()),
    schemas: z.array(z.string()),
    connects: z.boolean(),
    /** Databases that it may connect to, and come to own something in, and the broker may not. */
    closed: z.array(z.string()),
  }),
);
type Inherited = z.infer<typeof inheritedRows>[number];

/** Each group with every role that it is a member of, however far: a lease inherits them all. */
const INHERITED = (groups: readonly string[]): string => `
  WITH RECURSIVE ${reachedFrom(groups)}
  SELECT e.group_role::text AS group_role, r.rolname::text AS rolname,
    r.rolsuper AS superuser, r.rolcreaterole AS createrole, r.rolcreatedb AS createdb,
    r.rolbypassrls AS bypassrls, r.rolreplication AS replication,
    (SELECT count(*) FROM pg_shdepend s WHERE s.refclassid = 'pg_authid'::regclass
       AND s.refobjid = r.oid AND s.deptype = 'o'
       AND s.classid <> 'pg_default_acl'::regclass)::int AS owns,
    to_json(ARRAY(
      SELECT DISTINCT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE ALL ON %s FROM %s;',
        r.rolname, ' IN SCHEMA ' || quote_ident(n.nspname),
        CASE a.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES'
          WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS'
          ELSE 'LARGE OBJECTS' END,
        coalesce(quote_ident(g.rolname), 'PUBLIC'))
      FROM pg_default_acl a CROSS JOIN LATERAL aclexplode(a.defaclacl) x
      LEFT JOIN pg_namespace n ON n.oid = a.defaclnamespace
      LEFT JOIN pg_roles g ON g.oid = x.grantee
      WHERE a.defaclrole = r.oid AND x.grantee <> r.oid ORDER BY 1)) AS sharing,
    to_json(ARRAY(SELECT d.datname::text FROM pg_database d
       WHERE has_database_privilege(r.oid, d.oid, 'CREATE') ORDER BY 1)) AS databases,
    to_json(ARRAY(SELECT n.nspname::text FROM pg_namespace n
       WHERE n.nspname !~ '^pg_(temp|toast)' AND has_schema_privilege(r.oid, n.oid, 'CREATE')
       ORDER BY 1)) AS schemas,
    has_database_privilege(r.oid, current_database(), 'CONNECT') AS connects,
    to_json(ARRAY(SELECT d.datname::text FROM pg_database d
       WHERE d.datallowconn AND has_database_privilege(r.oid, d.oid, 'CONNECT')
         AND NOT has_database_privilege(d.oid, 'CONNECT') ORDER BY 1)) AS closed
  FROM reached e JOIN pg_roles r ON r.oid = e.oid ORDER BY 1, 2`;

/** Whether each group role may be handed out: it carries privileges and nothing more. */
export async function checkGroups(
  lane: Lane,
  groups: readonly string[],
  deadline: Deadline,
): Promise<readonly CheckProblem[]> {
  if (groups.length === 0) return [];
  const [rows] = await lane.work.run(INHERITED(groups), deadline);
  const inherited = inheritedRows.parse(rows);
  const there = new Set(inherited.map((row) => row.group_role));
  const absent = groups.filter((group) => !there.has(group)).map(missingGroup);
  const cutOff = inherited
    .filter((row) => row.rolname === row.group_role && !row.connects)
    .map((row) => cannotConnect(row.group_role, lane.settings.database));
  const closed = inherited
    .filter((row) => row.rolname === row.group_role)
    .flatMap((row) => row.closed.map((database) => isClosed(lane, row.group_role, database)));
  return [...absent, ...cutOff, ...closed, ...inherited.flatMap((row) => tooMuch(row))];
}

const missingGroup = (group: string): CheckProblem => ({
  code: "group_role_missing",
  what: `The group role ${group} does not exist.`,
  fix: `CREATE ROLE ${quoteIdentifier(group)} NOLOGIN; -- and GRANT it what its leases may do`,
});

const cannotConnect = (group: string, database: string): CheckProblem => ({
  code: "group_role_cannot_connect",
  what: `Leases in ${group} could not connect to the database ${database}.`,
  fix: `GRANT CONNECT ON DATABASE ${quoteIdentifier(database)} TO ${quoteIdentifier(group)};`,
});

/** Whoever may connect may make a large object, at least. */
const isClosed = ({ settings }: Lane, group: string, database: string): CheckProblem => ({
  code: "broker_cannot_connect",
  what:
    `Leases in ${group} could come to own something in the database ${database}, where ` +
    `${settings.username} could not clean up.`,
  fix:
    `GRANT CONNECT ON DATABASE ${quoteIdentifier(database)} ` +
    `TO ${quoteIdentifier(settings.username)};`,
});

function tooMuch(row: Inherited): readonly CheckProblem[] {
  const name = quoteIdentifier(row.rolname);
  const who =
    row.rolname === row.group_role
      ? `The group role ${row.group_role}`
      : `The group role ${row.group_role}, through ${row.rolname},`;
  const problems: CheckProblem[] = ATTRIBUTES.filter(([attribute]) => row[attribute]).map(
    ([attribute, without]) => ({
      code: `group_role_${attribute}`,
      what: `${who} has ${attribute.toUpperCase()}.`,
      fix: `ALTER ROLE ${name} ${without};`,
    }),
  );
  if (BEYOND_SCOPE.some((predefined) => predefined === row.rolname)) {
    problems.push({
      code: "group_role_reaches_server",
      what: `The group role ${row.group_role} is a member of ${row.rolname}.`,
      fix: `REVOKE ${name} FROM ${quoteIdentifier(row.group_role)}; -- or from the role between`,
    });
  }
  if (row.owns > 0) problems.push(ownsObjects(who, row));
  if (row.sharing.length > 0) problems.push(sharesAhead(who, row));
  // What PUBLIC may do is said once, at the group itself.
  for (const database of row.databases) {
    problems.push({
      code: "group_role_creates_in_database",
      what: `${who} may create schemas in the database ${database}.`,
      fix: `REVOKE CREATE ON DATABASE ${quoteIdentifier(database)} FROM ${name}, PUBLIC;`,
    });
  }
  for (const schema of row.schemas) {
    problems.push({
      code: "group_role_creates_in_schema",
      what: `${who} may create objects in the schema ${schema}.`,
      fix: `REVOKE CREATE ON SCHEMA ${quoteIdentifier(schema)} FROM ${name}, PUBLIC;`,
    });
  }
  return problems;
}

/** Harmless while it creates nothing; but a lease that inherits the group can have run it. */
const sharesAhead = (who: string, row: Inherited): CheckProblem => ({
  code: "group_role_default_privileges",
  what: `${who} has default privileges, so what it creates one day would be shared at once.`,
  fix: row.sharing.join(" "),
});

const ownsObjects = (who: string, row: Inherited): CheckProblem => ({
  code: "group_role_owns_objects",
  what: `${who} owns ${row.owns} objects, so a lease could alter, drop or share them.`,
  fix:
    `REASSIGN OWNED BY ${quoteIdentifier(row.rolname)} TO <owner>; -- in each database; ` +
    `SELECT * FROM pg_shdepend WHERE refobjid = ${quoteLiteral(row.rolname)}::regrole`,
});
