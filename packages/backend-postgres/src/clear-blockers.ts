import { z } from "zod";
import type { Deadline } from "./endpoint.ts";
import type { FoundRole } from "./find-role.ts";
import type { Lane } from "./lane.ts";
import { isLeaseRole } from "./lease-mark.ts";
import { joinRole, rollBackPrepared } from "./prepared.ts";
import { oidLiteral, quoteLiteral, wholeNumber } from "./quote.ts";

const sessionRows = z.array(
  z.object({
    pid: z.int(),
    ours: z.boolean(),
    oid: z.string().nullable(),
    rolname: z.string().nullable(),
    comment: z.string().nullable(),
  }),
);
const preparedRows = z.array(
  z.object({
    gid: z.string(),
    database: z.string(),
    oid: z.string().nullable(),
    rolname: z.string(),
    comment: z.string().nullable(),
  }),
);

/**
 * Who holds or queues for the lock that the process `pid` waits for. The lock of a prepared
 * transaction has no process; its own transaction id, which it holds as well, tells which it is.
 */
const blockersOf = (pid: number): string => `
  SELECT b.pid, a.usesysid IS NOT DISTINCT FROM me.oid AS ours, a.usesysid::int8::text AS oid,
    r.rolname::text AS rolname, shobj_description(r.oid, 'pg_authid') AS comment
  FROM (SELECT DISTINCT unnest(pg_blocking_pids(${wholeNumber(pid)})) AS pid) b
    JOIN pg_roles me ON me.rolname = session_user
    LEFT JOIN pg_stat_activity a ON a.pid = b.pid LEFT JOIN pg_roles r ON r.oid = a.usesysid
  WHERE b.pid <> 0;
  SELECT DISTINCT p.gid, p.database::text AS database, r.oid::int8::text AS oid,
    p.owner::text AS rolname, shobj_description(r.oid, 'pg_authid') AS comment
  FROM pg_locks w
    JOIN pg_locks h ON h.granted AND h.pid IS NULL
      AND ROW(h.locktype, h.database, h.relation, h.page, h.tuple, h.virtualxid, h.transactionid,
        h.classid, h.objid, h.objsubid)
      IS NOT DISTINCT FROM ROW(w.locktype, w.database, w.relation, w.page, w.tuple, w.virtualxid,
        w.transactionid, w.classid, w.objid, w.objsubid)
    JOIN pg_locks t ON t.locktype = 'transactionid' AND t.pid IS NULL
      AND t.virtualtransaction = h.virtualtransaction
    JOIN pg_prepared_xacts p ON p.transaction = t.transactionid
    LEFT JOIN pg_roles r ON r.rolname = p.owner
  WHERE w.pid = ${wholeNumber(pid)} AND NOT w.granted`;

/**
 * Takes what leases of this installation hold out of the way of one of our statements: sessions
 * are ended, prepared transactions rolled back. Nobody else's are touched; answers who they are.
 *
 * A lease may lock what the end of another one needs (a GRANT to that one's role does it) and
 * needs no right to do so. Whoever stands in the way of an end loses the session, not its lease.
 */
export async function clearBlockers(
  lane: Lane,
  pid: number,
  own: FoundRole,
  deadline: Deadline,
): Promise<readonly string[]> {
  const [first, second] = await lane.work.run(blockersOf(pid), deadline);
  const sessions = sessionRows.parse(first).filter(({ ours }) => !ours);
  const prepared = preparedRows.parse(second);
  const isLease = (role: (typeof sessions | typeof prepared)[number]): boolean =>
    role.oid === String(own.oid) || isLeaseRole(role.rolname, role.comment, lane.host);
  const cut = sessions.filter(isLease);
  if (cut.length > 0) {
    const pairs = cut.map(({ pid: at, oid }) => `(${wholeNumber(at)}, ${oidLiteral(Number(oid))})`);
    // The pair is looked at again: a process id may be somebody else's by now.
    await lane.work.run(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE (pid, usesysid) IN (${pairs.join(", ")})`,
      deadline,
    );
  }
  for (const { gid, database, rolname } of prepared.filter(isLease)) {
    await joinRole(lane, { name: rolname }, deadline);
    await rollBackPrepared(lane, { name: rolname }, [{ gid, database }], deadline);
  }
  for (const { rolname, oid } of [...cut, ...prepared.filter(isLease)]) {
    if (oid === String(own.oid)) continue;
    lane.host.log.warn("another lease stood in the way of an end; its lock was taken from it", {
      ended: own.name,
      stood_in_the_way: rolname,
    });
  }
  return [
    ...sessions
      .filter((at) => !isLease(at))
      .map((at) => `process ${at.pid} of ${nameOf(at.rolname)}`),
    ...prepared
      .filter((at) => !isLease(at))
      .map((at) => `prepared transaction ${quoteLiteral(at.gid)} of ${nameOf(at.rolname)}`),
  ];
}

const nameOf = (role: string | null): string =>
  role === null ? "the server itself" : `the role ${role}`;
