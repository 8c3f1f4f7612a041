import { z } from "zod";
import type { CheckProblem } from "@mayfly/spec";
import type { Deadline } from "./endpoint.ts";
import type { Lane } from "./lane.ts";
import { literals, quoteIdentifier } from "./quote.ts";

/** More of one kind say nothing new; the fix of the first ones shows the way. */
const SHOWN_MAX = 100;

const foundRows = z.array(
  z.object({
    code: z.enum([
      "group_role_admin_option",
      "group_role_grant_option",
      "group_role_makes_triggers",
      "group_role_makes_references",
    ]),
    group_role: z.string(),
    rolname: z.string(),
    what: z.string(),
    fix: z.string(),
  }),
);

/** Groups, and with each all that it is a member of: columns `group_role` (a name) and `oid`. */
export const reachedFrom = (groups: readonly string[]): string => `
  reached(group_role, oid) AS (
    SELECT rolname, oid FROM pg_roles WHERE rolname IN (${literals(groups)})
    UNION
    SELECT r.group_role, m.roleid FROM reached r JOIN pg_auth_members m ON m.member = r.oid
  )`;

/**
 * All privileges on objects of this database and of the cluster: `kind` and `target` as GRANT
 * wants them. Columns name their table; `columns` stands behind the privilege.
 */
const ACLS = `
  acls(kind, target, columns, owner, acl) AS (
    SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, oid::regclass::text, '',
      relowner, relacl FROM pg_class
    UNION ALL SELECT 'TABLE', a.attrelid::regclass::text, format(' (%I)', a.attname),
      c.relowner, a.attacl FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
      WHERE NOT a.attisdropped
    UNION ALL SELECT 'ROUTINE', oid::regprocedure::text, '', proowner, proacl FROM pg_proc
    UNION ALL SELECT 'SCHEMA', format('%I', nspname), '', nspowner, nspacl FROM pg_namespace
    UNION ALL SELECT 'DATABASE', format('%I', datname), '', datdba, datacl FROM pg_database
    UNION ALL SELECT 'TABLESPACE', format('%I', spcname), '', spcowner, spcacl FROM pg_tablespace
    UNION ALL SELECT 'TYPE', oid::regtype::text, '', typowner, typacl FROM pg_type
    UNION ALL SELECT 'LANGUAGE', format('%I', lanname), '', lanowner, lanacl FROM pg_language
    UNION ALL SELECT 'FOREIGN DATA WRAPPER', format('%I', fdwname), '', fdwowner, fdwacl
      FROM pg_foreign_data_wrapper
    UNION ALL SELECT 'FOREIGN SERVER', format('%I', srvname), '', srvowner, srvacl
      FROM pg_foreign_server
    UNION ALL SELECT 'LARGE OBJECT', oid::text, '', lomowner, lomacl FROM pg_largeobject_metadata
    UNION ALL SELECT 'PARAMETER', parname, '', 10, paracl FROM pg_parameter_acl
  ),
  privileges AS (
    SELECT a.kind, a.target, a.columns, a.owner, x.*
    FROM acls a, LATERAL aclexplode(a.acl) x WHERE a.acl IS NOT NULL
  )`;

/** Done by whoever granted it: what another role granted, the owner cannot take back. */
const asGrantor = (statement: string, grantor: string, owner: string): string =>
  `CASE WHEN ${grantor} = ${owner} THEN ${statement} ELSE
     format('SET ROLE %I; ', pg_get_userbyid(${grantor})) || ${statement} || ' RESET ROLE;' END`;

const ADMIN_OPTIONS = `
  SELECT 'group_role_admin_option', e.group_role, e.oid,
    format('may make others members of %I', pg_get_userbyid(m.roleid)),
    format('REVOKE ADMIN OPTION FOR %I FROM %I', pg_get_userbyid(m.roleid), pg_get_userbyid(e.oid))
      || CASE WHEN current_setting('server_version_num')::int >= 160000
           THEN format(' GRANTED BY %I', pg_get_userbyid(m.grantor)) ELSE '' END || ' CASCADE;'
  FROM reached e JOIN pg_auth_members m ON m.member = e.oid AND m.admin_option`;

const GRANT_OPTIONS = `
  SELECT 'group_role_grant_option', e.group_role, e.oid,
    format('may grant %s%s on the %s %s to others', p.privilege_type, p.columns, lower(p.kind),
      p.target),
    ${asGrantor(
      `format('REVOKE GRANT OPTION FOR %s%s ON %s %s FROM %I CASCADE;', p.privilege_type,
         p.columns, p.kind, p.target, pg_get_userbyid(e.oid))`,
      "p.grantor",
      "p.owner",
    )}
  FROM reached e JOIN privileges p ON p.grantee = e.oid AND p.is_grantable`;

const DEFAULT_GRANT_OPTIONS = `
  SELECT 'group_role_grant_option', e.group_role, e.oid,
    format('may grant %s on what %I will create to others', x.privilege_type,
      pg_get_userbyid(d.defaclrole)),
    format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE GRANT OPTION FOR %s ON %s FROM %I;',
      pg_get_userbyid(d.defaclrole),
      (SELECT format(' IN SCHEMA %I', nspname) FROM pg_namespace WHERE oid = d.defaclnamespace),
      x.privilege_type,
      CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES'
        WHEN 'f' THEN 'ROUTINES' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS'
        ELSE 'LARGE OBJECTS' END,
      pg_get_userbyid(e.oid))
  FROM reached e JOIN (pg_default_acl d CROSS JOIN LATERAL aclexplode(d.defaclacl) x)
    ON x.grantee = e.oid AND x.is_grantable`;

/** What PUBLIC may do, every group may: it is said at the group itself. */
const tableRight = (privilege: string, code: string, what: string): string => `
  SELECT '${code}', e.group_role, e.oid,
    format('${what}', p.target),
    ${asGrantor(
      `format('REVOKE ${privilege}%s ON TABLE %s FROM %s CASCADE;', p.columns, p.target,
         CASE p.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(e.oid)) END)`,
      "p.grantor",
      "p.owner",
    )}
  FROM reached e JOIN pg_roles r ON r.oid = e.oid JOIN privileges p
    ON p.grantee = e.oid OR p.grantee = 0 AND r.rolname = e.group_role
  WHERE p.kind = 'TABLE' AND p.privilege_type = '${privilege}'`;

const FOUND = (groups: readonly string[]): string => `
  WITH RECURSIVE ${reachedFrom(groups)}, ${ACLS},
  found(code, group_role, oid, what, fix) AS (
    ${[
      ADMIN_OPTIONS,
      GRANT_OPTIONS,
      DEFAULT_GRANT_OPTIONS,
      tableRight("TRIGGER", "group_role_makes_triggers", "may make triggers on the table %s"),
      tableRight(
        "REFERENCES",
        "group_role_makes_references",
        "may make foreign keys that refer to the table %s",
      ),
    ].join(" UNION ALL ")}
  )
  SELECT DISTINCT f.code, f.group_role::text AS group_role, r.rolname::text AS rolname, f.what,
    f.fix
  FROM found f JOIN pg_roles r ON r.oid = f.oid ORDER BY 1, 2, 3, 4 LIMIT ${SHOWN_MAX}`;

/** Why each is refused, behind what it is. */
const WHY = {
  group_role_admin_option: "so a lease could hand on a membership that outlives it",
  group_role_grant_option: "so a lease could hand on a privilege that outlives it",
  group_role_makes_triggers:
    "so a lease could leave code that runs as whoever writes to it afterwards",
  group_role_makes_references: "so a lease could leave keys that forbid its owner to delete rows",
} as const;

/**
 * Whether a lease could leave its access, or its hand, behind: what it grants stands in its
 * group's name, so neither DROP OWNED nor a probe sees it when the lease is gone.
 */
export async function checkHandingOn(
  lane: Lane,
  groups: readonly string[],
  deadline: Deadline,
): Promise<readonly CheckProblem[]> {
  if (groups.length === 0) return [];
  const [rows] = await lane.work.run(FOUND(groups), deadline);
  return foundRows.parse(rows).map(({ code, group_role: group, rolname, what, fix }) => {
    const through = rolname === group ? "" : `, through ${quoteIdentifier(rolname)},`;
    return { code, what: `The group role ${group}${through} ${what}, ${WHY[code]}.`, fix };
  });
}
