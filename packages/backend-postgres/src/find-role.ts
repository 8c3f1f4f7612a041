import { z } from "zod";
import type { Deadline, Row } from "./endpoint.ts";
import type { Lane } from "./lane.ts";
import { readMark, type LeaseHandle } from "./lease-mark.ts";
import { unfinished } from "./pg-failure.ts";
import { oidLiteral, quoteLiteral } from "./quote.ts";

export interface FoundRole {
  readonly oid: number;
  readonly name: string;
  readonly canLogIn: boolean;
  readonly comment: string | null;
}

const roleRows = z.array(
  z.object({
    oid: z.string(),
    rolname: z.string(),
    rolcanlogin: z.boolean(),
    comment: z.string().nullable(),
  }),
);

/** The columns that {@link foundRoles} reads, of `pg_roles r`. */
export const ROLE_COLUMNS =
  "r.oid::int8::text AS oid, r.rolname::text AS rolname, r.rolcanlogin, " +
  "shobj_description(r.oid, 'pg_authid') AS comment";

export const foundRoles = (rows: readonly Row[] | undefined): readonly FoundRole[] =>
  roleRows.parse(rows).map((row) => ({
    oid: Number(row.oid),
    name: row.rolname,
    canLogIn: row.rolcanlogin,
    comment: row.comment,
  }));

const clockRows = z.array(z.object({ now_ms: z.string() })).min(1);

/** The role of that name, and the server's own time. */
export async function lookUpName(
  lane: Lane,
  name: string,
  deadline: Deadline,
): Promise<{ readonly role: FoundRole | null; readonly serverMs: number }> {
  const [roles, clock] = await lane.work.run(
    `SELECT ${ROLE_COLUMNS} FROM pg_roles r WHERE r.rolname = ${quoteLiteral(name)};
     SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::int8::text AS now_ms`,
    deadline,
  );
  const [now] = clockRows.parse(clock);
  return { role: foundRoles(roles)[0] ?? null, serverMs: Number(now?.now_ms) };
}

/**
 * The lease's role as it is now, or null when it is gone.
 *
 * The OID decides and the name is a hint: a role that was renamed is still ours if its mark says
 * so, and one of our name with another OID is somebody else's. A role of our OID with neither our
 * name nor our mark might be either; saying "gone" would be a guess, so that throws.
 */
export async function findLeaseRole(
  lane: Lane,
  handle: LeaseHandle,
  deadline: Deadline,
): Promise<FoundRole | null> {
  const [rows] = await lane.work.run(
    `SELECT ${ROLE_COLUMNS} FROM pg_roles r
     WHERE r.oid = ${oidLiteral(handle.oid)} OR r.rolname = ${quoteLiteral(handle.name)}`,
    deadline,
  );
  const roles = foundRoles(rows);
  const found = roles.find(({ oid }) => oid === handle.oid);
  if (found === undefined) {
    if (roles.length > 0) {
      lane.host.log.warn("a role bears a lease's name with another OID; it is left alone", {
        role: handle.name,
        oid_expected: handle.oid,
        oid_found: roles[0]?.oid ?? null,
      });
    }
    return null;
  }
  if (found.name !== handle.name && readMark(found.comment, handle.name, lane.host) === null) {
    throw unfinished(
      "revoke: the role with this lease's OID has another name and no valid mark of ours, so it " +
        "is not touched; an administrator has to look at it",
    );
  }
  return found;
}
