import { z } from "zod";
import type { Deadline, Endpoint } from "./endpoint.ts";
import type { FoundRole } from "./find-role.ts";
import type { Lane } from "./lane.ts";
import type { LeaseHandle } from "./lease-mark.ts";
import { doBlock, grantAsMember } from "./mint-message.ts";
import { PgFailure, SQLSTATE, unfinished } from "./pg-failure.ts";
import { literals, oidLiteral, quoteIdentifier, quoteLiteral } from "./quote.ts";

/** What keeps a role from being dropped. */
export interface Holdings {
  readonly prepared: readonly { readonly gid: string; readonly database: string }[];
  /** Databases in which something belongs to the role or was granted to it. */
  readonly databases: readonly string[];
}

const preparedRows = z.array(z.object({ gid: z.string(), database: z.string() }));
const databaseRows = z.array(z.object({ datname: z.string() }));

export async function holdingsOf(
  lane: Lane,
  role: FoundRole,
  deadline: Deadline,
): Promise<Holdings> {
  // dbid 0 is a shared object, such as a database: those are reassigned from any database.
  const [prepared, databases] = await lane.work.run(
    `SELECT gid, database::text AS database FROM pg_prepared_xacts
     WHERE owner = ${quoteLiteral(role.name)};
     SELECT DISTINCT coalesce(d.datname, current_database())::text AS datname
     FROM pg_shdepend s LEFT JOIN pg_database d ON d.oid = s.dbid
     WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = ${oidLiteral(role.oid)}
     ORDER BY 1`,
    deadline,
  );
  return {
    prepared: preparedRows.parse(prepared),
    databases: databaseRows.parse(databases).map(({ datname }) => datname),
  };
}

/**
 * Membership in the lease's role for ourselves: CREATEROLE alone may neither SET ROLE to it nor
 * give away what it owns. The DROP takes the membership with it.
 */
async function joinRole(lane: Lane, role: FoundRole, deadline: Deadline): Promise<void> {
  const grant = `GRANT ${quoteIdentifier(role.name)} TO CURRENT_USER`;
  await lane.work.run(doBlock([grantAsMember(grant, "INHERIT TRUE, SET TRUE")]), deadline);
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
  for (const { gid, database } of holdings.prepared) {
    await inDatabase(lane, database, (endpoint) => rollBack(endpoint, role, gid, deadline));
  }
  if (holdings.databases.length === 0) return;
  const text = await disownStatement(lane, role, handle, deadline);
  for (const database of holdings.databases) {
    await inDatabase(lane, database, (endpoint) => endpoint.run(text, deadline));
  }
}

/** A prepared transaction may be ended by its owner alone, in its own database. */
async function rollBack(
  endpoint: Endpoint,
  role: FoundRole,
  gid: string,
  deadline: Deadline,
): Promise<void> {
  await endpoint.session(deadline, async (session) => {
    await session.run(`SET ROLE ${quoteIdentifier(role.name)}`);
    try {
      await session.run(`ROLLBACK PREPARED ${quoteLiteral(gid)}`);
    } catch (thrown) {
      const gone = thrown instanceof PgFailure && thrown.sqlstate === SQLSTATE.undefinedObject;
      if (!gone) throw thrown;
    } finally {
      await session.run("RESET ROLE");
    }
  });
}

/**
 * REASSIGN moves what it owns, DROP OWNED takes what was granted to it and its default privileges,
 * which a lease can change without any right of its own. One message, so one transaction: nothing
 * can come to be owned in between.
 */
async function disownStatement(
  lane: Lane,
  role: FoundRole,
  handle: LeaseHandle,
  deadline: Deadline,
): Promise<string> {
  const name = quoteIdentifier(role.name);
  switch (lane.settings.on_owned_objects) {
    case "drop":
      return `DROP OWNED BY ${name}`;
    case "reassign": {
      const owner = quoteIdentifier(await heirOf(lane, handle, deadline));
      return `REASSIGN OWNED BY ${name} TO ${owner}; DROP OWNED BY ${name}`;
    }
  }
}

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

async function inDatabase(
  lane: Lane,
  name: string,
  work: (endpoint: Endpoint) => Promise<unknown>,
): Promise<void> {
  const endpoint = lane.database(name);
  try {
    await work(endpoint);
  } catch (thrown) {
    if (thrown instanceof PgFailure && thrown.kind === "not_sent") {
      lane.host.log.warn("a database that holds a lease's objects cannot be entered", {
        database: name,
      });
      throw unfinished(
        `revoke: a database in which the lease holds something cannot be entered; grant ` +
          `${lane.settings.username} CONNECT on it, or let it accept connections`,
      );
    }
    throw thrown;
  } finally {
    await endpoint.close();
  }
}
