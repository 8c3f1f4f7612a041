import { z } from "zod";
import type { Deadline } from "./endpoint.ts";
import type { FoundRole } from "./find-role.ts";
import type { Lane } from "./lane.ts";
import type { LeaseHandle } from "./lease-mark.ts";
import {
  inDatabase,
  joinRole,
  preparedOf,
  rollBackPrepared,
  selectPrepared,
  type Prepared,
} from "./prepared.ts";
import { literals, oidLiteral, quoteIdentifier } from "./quote.ts";

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
  const text = await disownStatement(lane, role, handle, deadline);
  for (const database of holdings.databases) {
    await inDatabase(lane, database, (endpoint) => endpoint.run(text, deadline));
  }
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
