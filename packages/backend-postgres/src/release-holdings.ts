import { z } from "zod";
import { LEASE_NAME_PATTERN } from "@mayfly/backend-kit";
import { dropLeftCode } from "./drop-left-code.ts";
import type { Deadline, Endpoint } from "./endpoint.ts";
import type { FoundRole } from "./find-role.ts";
import type { Lane } from "./lane.ts";
import { isLeaseRole, type LeaseHandle } from "./lease-mark.ts";
import { PgFailure, SQLSTATE, unfinished } from "./pg-failure.ts";
import {
  inDatabase,
  joinRole,
  preparedOf,
  rollBackPrepared,
  selectPrepared,
  type Prepared,
} from "./prepared.ts";
import { literals, oidLiteral, quoteIdentifier, quoteLiteral } from "./quote.ts";
import { releaseLargeObjects } from "./release-large-objects.ts";
import { runUnhindered } from "./run-unhindered.ts";

/** What keeps a role from being dropped. */
export interface Holdings {
  readonly prepared: readonly Prepared[];
  /** Databases in which something belongs to the role or was granted to it. */
  readonly databases: readonly string[];
}

const databaseRows = z.array(z.object({ datname: z.string() }));

export async function holdingsOf(
  lane: Lane,
  role: FoundRole,
  deadline: Deadline,
): Promise<Holdings> {
  // dbid 0 is a shared object, such as a database: those are reassigned from any database.
  const [prepared, databases] = await lane.work.run(
    `${selectPrepared(role)};
     SELECT DISTINCT coalesce(d.datname, current_database())::text AS datname
     FROM pg_shdepend s LEFT JOIN pg_database d ON d.oid = s.dbid
     WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = ${oidLiteral(role.oid)}
     ORDER BY 1`,
    deadline,
  );
  return {
    prepared: preparedOf(prepared),
    databases: databaseRows.parse(databases).map(({ datname }) => datname),
  };
}

export async function releaseHoldings(
  lane: Lane,
  role: FoundRole,
  handle: LeaseHandle,
  holdings: Holdings,
  deadline: Deadline,
): Promise<void> {
  if (holdings.prepared.length === 0 && holdings.databases.length === 0) return;
  await joinRole(lane, role, deadline);
  await rollBackPrepared(lane, role, holdings.prepared, deadline);
  if (holdings.databases.length === 0) return;
  const granters = await joinGranters(lane, role, deadline);
  const heir =
    lane.settings.on_owned_objects === "drop" ? null : await heirOf(lane, handle, deadline);
  for (const database of holdings.databases) {
    await inDatabase(lane, database, async (endpoint) => {
      await releaseLargeObjects(lane, endpoint, { role, heir, granters }, deadline);
      await unlessFull(role, database, async () => {
        if (heir !== null) await dropLeftCode(lane, endpoint, role, deadline);
        await disown(lane, endpoint, role, heir, deadline);
      });
    });
  }
}

const granterRows = z.array(
  z.object({ oid: z.string(), rolname: z.string(), comment: z.string().nullable() }),
);

/**
 * A lease may grant what it owns, such as a temporary table, to the role of another one, which
 * DROP OWNED takes back only for a member of the owner. So we join these owners, too.
 */
async function joinGranters(
  lane: Lane,
  role: FoundRole,
  deadline: Deadline,
): Promise<readonly { readonly oid: number }[]> {
  const [rows] = await lane.work.run(
    // In this order whatever the planner believes: its statistics know nothing of objects that
    // a lease has just made by the thousand.
    `WITH granted AS MATERIALIZED (
       SELECT dbid, classid, objid FROM pg_shdepend
       WHERE refclassid = 'pg_authid'::regclass AND refobjid = ${oidLiteral(role.oid)}
         AND deptype = 'a'
     ), owners AS MATERIALIZED (
       SELECT DISTINCT (SELECT o.refobjid FROM pg_shdepend o
         WHERE o.dbid = g.dbid AND o.classid = g.classid AND o.objid = g.objid
           AND o.deptype = 'o' LIMIT 1) AS oid
       FROM granted g
     )
     SELECT r.oid::int8::text AS oid, r.rolname::text AS rolname,
       shobj_description(r.oid, 'pg_authid') AS comment
     FROM owners JOIN pg_roles r ON r.oid = owners.oid
     WHERE r.rolname ~ ${quoteLiteral(LEASE_NAME_PATTERN)}`,
    deadline,
  );
  const granters = granterRows
    .parse(rows)
    .filter(({ rolname, comment }) => isLeaseRole(rolname, comment, lane.host));
  for (const { rolname } of granters) await joinRole(lane, { name: rolname }, deadline);
  return granters.map(({ oid }) => ({ oid: Number(oid) }));
}

/**
 * REASSIGN moves what it owns, of which {@link dropLeftCode} has dropped the code; DROP OWNED takes
 * what was granted to it and its default privileges, which a lease can change without any right of
 * its own. One message, so one transaction: nothing can come to be owned in between.
 *
 * Where that needs more locks than the server has room for, REASSIGN goes first and alone: it
 * takes fewer, and leaves less to the next one.
 */
async function disown(
  lane: Lane,
  endpoint: Endpoint,
  role: FoundRole,
  heir: string | null,
  deadline: Deadline,
): Promise<void> {
  const name = quoteIdentifier(role.name);
  const run = (text: string) => runUnhindered(lane, endpoint, role, text, deadline);
  const reassign = heir === null ? null : `REASSIGN OWNED BY ${name} TO ${quoteIdentifier(heir)}`;
  const both = [...(reassign === null ? [] : [reassign]), `DROP OWNED BY ${name}`].join("; ");
  try {
    await run(both);
  } catch (thrown) {
    if (!isFull(thrown) || reassign === null) throw thrown;
    await run(reassign);
    await run(both);
  }
}

async function unlessFull(
  role: FoundRole,
  database: string,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (thrown) {
    throw isFull(thrown) ? tooManyObjects(quoteIdentifier(role.name), database) : thrown;
  }
}

const isFull = (thrown: unknown): boolean =>
  thrown instanceof PgFailure && thrown.sqlstate === SQLSTATE.outOfMemory;

/** Objects in another session's temporary schema have no name that we could use singly. */
const tooManyObjects = (name: string, database: string): Error =>
  unfinished(
    `revoke: login and sessions are gone, but the lease left more objects in the database ` +
      `${database} than the server can lock at once. Its autovacuum drops temporary tables that ` +
      `were left over; if they stay, raise max_locks_per_transaction, or DROP OWNED BY ${name}`,
    60,
  );

const nameRows = z.array(z.object({ rolname: z.string() }));

/** The first of the role's named owner, the backend's, and ourselves that still exists. */
async function heirOf(lane: Lane, handle: LeaseHandle, deadline: Deadline): Promise<string> {
  const { reassign_to: backendOwner, username } = lane.settings;
  const wanted = [handle.owner, backendOwner ?? null].filter((name) => name !== null);
  if (wanted.length === 0) return username;
  const [rows] = await lane.work.run(
    `SELECT rolname::text AS rolname FROM pg_roles WHERE rolname IN (${literals(wanted)})`,
    deadline,
  );
  const there = nameRows.parse(rows).map(({ rolname }) => rolname);
  return wanted.find((name) => there.includes(name)) ?? username;
}
