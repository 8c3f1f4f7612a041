import { z } from "zod";
import type { Rows } from "./endpoint.ts";
import type { LeaseHandle } from "./lease-mark.ts";
import { leaseTable, oidsOf } from "./lease-sets.ts";

/** What of a lease's access there is on one endpoint. */
export interface AccessSeen {
  readonly roles: number;
  readonly roles_that_log_in: number;
  readonly sessions: number;
}
/** What else there may be, on the primary alone. */
export interface RestSeen {
  readonly name_taken_by_another: number;
  readonly prepared: number;
  readonly held: number;
}

const access = { roles: z.int(), roles_that_log_in: z.int(), sessions: z.int() };
const accessRows = z.array(z.object({ oid: z.string(), ...access }));
const primaryRows = z.array(
  z.object({
    oid: z.string(),
    rolname: z.string().nullable(),
    ...access,
    name_taken_by_another: z.int(),
    prepared: z.int(),
    held: z.int(),
  }),
);

const accessColumns = `(r.oid IS NOT NULL)::int AS roles,
    coalesce(r.rolcanlogin, false)::int AS roles_that_log_in, coalesce(s.n, 0) AS sessions`;

// Joined, not asked for each lease: each call lists all processes of the server.
const sessionsOf = (leases: readonly LeaseHandle[]): string =>
  `(SELECT usesysid AS oid, count(*)::int AS n FROM pg_stat_activity
     WHERE usesysid = ANY (${oidsOf(leases)}) GROUP BY usesysid) s ON s.oid = l.oid`;

export const accessMessage = (leases: readonly LeaseHandle[]): string =>
  `SELECT l.oid::int8::text AS oid, ${accessColumns}
   FROM ${leaseTable(leases)} LEFT JOIN pg_roles r ON r.oid = l.oid
     LEFT JOIN ${sessionsOf(leases)}`;

export const accessSeenOf = ([rows]: Rows): ReadonlyMap<number, AccessSeen> =>
  new Map(
    accessRows
      .parse(rows)
      .map(({ oid, roles, roles_that_log_in, sessions }) => [
        Number(oid),
        { roles, roles_that_log_in, sessions },
      ]),
  );

export const primaryMessage = (leases: readonly LeaseHandle[]): string =>
  `SELECT l.oid::int8::text AS oid, r.rolname::text AS rolname, ${accessColumns},
     (n.oid IS NOT NULL)::int AS name_taken_by_another, coalesce(p.n, 0) AS prepared,
     coalesce(d.n, 0) AS held
   FROM ${leaseTable(leases)} LEFT JOIN pg_roles r ON r.oid = l.oid
     LEFT JOIN pg_roles n ON n.rolname = l.name AND n.oid <> l.oid
     LEFT JOIN ${sessionsOf(leases)}
     LEFT JOIN (SELECT ownerid AS oid, count(*)::int AS n FROM pg_prepared_xact()
       GROUP BY ownerid) p ON p.oid = l.oid
     LEFT JOIN (SELECT refobjid AS oid, count(*)::int AS n FROM pg_shdepend
       WHERE refclassid = 'pg_authid'::regclass AND refobjid = ANY (${oidsOf(leases)})
       GROUP BY refobjid) d ON d.oid = l.oid`;

/**
 * Leaves out a lease whose role was renamed, or whose name another role bears: what that means is
 * for a look at it alone.
 */
export function primarySeenOf(
  leases: readonly LeaseHandle[],
  [rows]: Rows,
): ReadonlyMap<number, { readonly access: AccessSeen; readonly rest: RestSeen }> {
  const names = new Map(leases.map(({ oid, name }) => [oid, name]));
  const plain = primaryRows
    .parse(rows)
    .filter(({ oid, rolname }) => rolname === null || rolname === names.get(Number(oid)))
    .filter((row) => row.name_taken_by_another === 0);
  return new Map(
    plain.map(({ oid, roles, roles_that_log_in, sessions, ...row }) => [
      Number(oid),
      {
        access: { roles, roles_that_log_in, sessions },
        rest: {
          name_taken_by_another: row.name_taken_by_another,
          prepared: row.prepared,
          held: row.held,
        },
      },
    ]),
  );
}
