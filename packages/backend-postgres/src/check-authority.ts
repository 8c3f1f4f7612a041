import { z } from "zod";
import type { CheckProblem } from "@mayfly/spec";
import type { Deadline } from "./endpoint.ts";
import type { Lane } from "./lane.ts";
import { doBlock, grantAsMember } from "./mint-message.ts";
import { PgFailure } from "./pg-failure.ts";
import { literals, quoteIdentifier } from "./quote.ts";

const authorityRow = z.tuple([
  z.object({
    me: z.string(),
    superuser: z.boolean(),
    createrole: z.boolean(),
    signals: z.boolean(),
    sees_sessions: z.boolean(),
    version: z.int(),
    version_text: z.string(),
    standby: z.boolean(),
    now_ms: z.string(),
  }),
]);
export type Authority = z.infer<typeof authorityRow>[0];

/** From this version on, roles are administered by ADMIN options instead of CREATEROLE alone. */
const ADMIN_OPTIONS_FROM = 160_000;
export const VERSION_MIN = 150_000;

/** A session that is `starting` is nobody's yet: PostgreSQL 18 shows those too. */
export async function authorityOf(lane: Lane, deadline: Deadline): Promise<Authority> {
  const [rows] = await lane.work.run(
    `SELECT current_user::text AS me, r.rolsuper AS superuser, r.rolcreaterole AS createrole,
       pg_has_role(current_user, 'pg_signal_backend', 'USAGE') AS signals,
       NOT EXISTS (SELECT FROM pg_stat_activity
         WHERE backend_type = 'client backend' AND usesysid IS NULL
           AND state IS DISTINCT FROM 'starting') AS sees_sessions,
       current_setting('server_version_num')::int AS version,
       current_setting('server_version') AS version_text,
       pg_is_in_recovery() AS standby,
       floor(extract(epoch FROM clock_timestamp()) * 1000)::int8::text AS now_ms
     FROM pg_roles r WHERE r.rolname = current_user`,
    deadline,
  );
  return authorityRow.parse(rows)[0];
}

export function checkAuthority(authority: Authority): readonly CheckProblem[] {
  const me = quoteIdentifier(authority.me);
  const problems: CheckProblem[] = [];
  if (authority.version < VERSION_MIN) {
    problems.push({
      code: "server_too_old",
      what: `The server is PostgreSQL ${authority.version_text}.`,
      fix: "Use PostgreSQL 15 or newer.",
    });
  }
  if (authority.standby) {
    problems.push({
      code: "server_is_standby",
      what: "The server is a standby; roles can be made on a primary alone.",
      fix: "Register the primary as host and the standby under `standbys`.",
    });
  }
  if (!authority.createrole && !authority.superuser) {
    problems.push({
      code: "createrole_missing",
      what: `${authority.me} may not create roles.`,
      fix: `ALTER ROLE ${me} CREATEROLE;`,
    });
  }
  if (!authority.signals) {
    problems.push({
      code: "signal_backend_missing",
      what: `${authority.me} may not end the sessions of a lease.`,
      fix: `GRANT pg_signal_backend TO ${me};`,
    });
  }
  if (!authority.sees_sessions) {
    problems.push({
      code: "sessions_not_visible",
      what: "The server hides whose sessions are open (pg_stat_activity.usesysid).",
      fix: `GRANT pg_read_all_stats TO ${me};`,
    });
  }
  return problems;
}

const rightRows = z.array(
  z.object({
    rolname: z.string(),
    admin: z.boolean(),
    inherits: z.boolean(),
    sets: z.boolean(),
  }),
);

/** ADMIN on each group; INHERIT and SET on each owner: to give away, one has to be both. */
export async function checkMemberships(
  lane: Lane,
  authority: Authority,
  wanted: { readonly groups: readonly string[]; readonly owners: readonly string[] },
  deadline: Deadline,
): Promise<readonly CheckProblem[]> {
  const names = [...new Set([...wanted.groups, ...wanted.owners])];
  if (names.length === 0) return [];
  const sets = authority.version >= ADMIN_OPTIONS_FROM ? "SET" : "MEMBER";
  const [rows] = await lane.work.run(
    `SELECT rolname::text AS rolname,
       pg_has_role(current_user, oid, 'MEMBER WITH ADMIN OPTION') AS admin,
       pg_has_role(current_user, oid, 'USAGE') AS inherits,
       pg_has_role(current_user, oid, '${sets}') AS sets
     FROM pg_roles WHERE rolname IN (${literals(names)})`,
    deadline,
  );
  const rights = new Map(rightRows.parse(rows).map((row) => [row.rolname, row]));
  return [
    ...wanted.groups.flatMap((group) => checkAdmin(authority, group, rights.get(group)?.admin)),
    ...wanted.owners.flatMap((owner) => checkOwner(authority, owner, rights.get(owner))),
    ...wanted.owners.filter((owner) => wanted.groups.includes(owner)).map(ownerIsGroup),
  ];
}

function checkAdmin(
  authority: Authority,
  group: string,
  admin: boolean | undefined,
): readonly CheckProblem[] {
  // Until 15, CREATEROLE may grant any role that is no superuser. An absent one is said elsewhere.
  if (admin !== false || authority.version < ADMIN_OPTIONS_FROM) return [];
  return [
    {
      code: "group_role_admin_missing",
      what: `${authority.me} may not make leases members of ${group}.`,
      fix:
        `GRANT ${quoteIdentifier(group)} TO ${quoteIdentifier(authority.me)} ` +
        "WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;",
    },
  ];
}

function checkOwner(
  authority: Authority,
  owner: string,
  right: { readonly inherits: boolean; readonly sets: boolean } | undefined,
): readonly CheckProblem[] {
  const grant = `GRANT ${quoteIdentifier(owner)} TO ${quoteIdentifier(authority.me)}`;
  const join =
    authority.version >= ADMIN_OPTIONS_FROM
      ? `${grant} WITH INHERIT TRUE, SET TRUE;`
      : `${grant}; ALTER ROLE ${quoteIdentifier(authority.me)} INHERIT;`;
  if (right === undefined) {
    return [
      {
        code: "owner_missing",
        what: `The owner ${owner} does not exist.`,
        fix: `CREATE ROLE ${quoteIdentifier(owner)} NOLOGIN; ${join}`,
      },
    ];
  }
  if (right.inherits && right.sets) return [];
  return [
    {
      code: "owner_membership_missing",
      what: `${authority.me} may not give what a lease owns to ${owner}.`,
      fix: join,
    },
  ];
}

const ownerIsGroup = (owner: string): CheckProblem => ({
  code: "owner_is_group_role",
  what: `${owner} is both a group role and an owner, so leases would come to own objects.`,
  fix: "Name another owner: a NOLOGIN role that no lease is a member of.",
});

/**
 * Does once what every lease needs, and rolls it back: a block that raises at its end. Only the
 * last error is ours, so any other one is what would have stopped a lease.
 */
export async function tryAuthority(
  lane: Lane,
  groups: readonly string[],
  deadline: Deadline,
): Promise<readonly CheckProblem[]> {
  const mark = Buffer.from(lane.host.random.bytes(16)).toString("hex");
  const role = quoteIdentifier(`mf_${lane.host.installation}_${mark}`);
  const grants = groups.toSorted().map((group) => `GRANT ${quoteIdentifier(group)} TO ${role}`);
  const join = `GRANT ${role} TO CURRENT_USER`;
  const trial = doBlock([
    `CREATE ROLE ${role} NOLOGIN VALID UNTIL '2000-01-01' CONNECTION LIMIT 0;`,
    `COMMENT ON ROLE ${role} IS 'a trial of rights, rolled back';`,
    `ALTER ROLE ${role} SET statement_timeout = '1s';`,
    ...grants.map((grant) => grantAsMember(grant, "INHERIT TRUE, SET FALSE")),
    grantAsMember(join, "INHERIT TRUE, SET TRUE"),
    `ALTER ROLE ${role} VALID UNTIL '2000-01-02' NOLOGIN;`,
    `DROP OWNED BY ${role};`,
    `DROP ROLE ${role};`,
    "RAISE EXCEPTION USING ERRCODE = 'MF003', MESSAGE = 'rolled back on purpose';",
  ]);
  try {
    await lane.work.run(trial, deadline);
  } catch (thrown) {
    if (!(thrown instanceof PgFailure) || thrown.kind !== "refused") throw thrown;
    if (thrown.sqlstate === "MF003") return [];
    return [
      {
        code: "trial_failed",
        what:
          `A lease's role could not be made and dropped: the server said ` +
          `"${thrown.message}" (SQLSTATE ${thrown.sqlstate ?? "unknown"}).`,
        fix: "Run the statements of docs/backends/postgres.md, section Authority, once more.",
      },
    ];
  }
  throw new PgFailure("refused", "the trial of rights was not rolled back");
}
