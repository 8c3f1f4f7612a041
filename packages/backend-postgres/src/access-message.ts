import { z } from "zod";
import type { Rows } from "./endpoint.ts";
import type { LeaseHandle } from "./lease-mark.ts";
import { oidsOf } from "./lease-sets.ts";

/** What is left of a lease's access on one endpoint, where its role was dropped. */
export interface AccessLeft {
  /** Signalled just now. */
  readonly sessions: number;
  /** A standby lets the role in until it has replayed the DROP. */
  readonly canLogIn: boolean;
}

/**
 * Ends the sessions that these leases have on one endpoint, by OID: `usesysid` stays visible when
 * the role is gone. The logins are looked at first, so that nobody gets in between the two.
 */
export function cutMessage(leases: readonly LeaseHandle[]): string {
  const oids = oidsOf(leases);
  return `SELECT oid::int8::text AS oid FROM pg_roles WHERE oid = ANY (${oids}) AND rolcanlogin;
    SELECT usesysid::int8::text AS oid, count(pg_terminate_backend(pid))::int AS sessions
    FROM pg_stat_activity WHERE usesysid = ANY (${oids}) GROUP BY usesysid`;
}

const loginRows = z.array(z.object({ oid: z.string() }));
const sessionRows = z.array(z.object({ oid: z.string(), sessions: z.int() }));

export function accessLeftOf(
  leases: readonly LeaseHandle[],
  [logins, sessions]: Rows,
): ReadonlyMap<number, AccessLeft> {
  const canLogIn = new Set(loginRows.parse(logins).map(({ oid }) => Number(oid)));
  const cut = new Map(sessionRows.parse(sessions).map((row) => [Number(row.oid), row.sessions]));
  return new Map(
    leases.map(({ oid }) => [oid, { sessions: cut.get(oid) ?? 0, canLogIn: canLogIn.has(oid) }]),
  );
}
