import { z } from "zod";
import type { Deadline, Endpoint } from "./endpoint.ts";
import type { FoundRole } from "./find-role.ts";
import type { Lane } from "./lane.ts";
import { doBlock, grantAsMember } from "./mint-message.ts";
import { PgFailure, SQLSTATE, unfinished } from "./pg-failure.ts";
import { quoteIdentifier, quoteLiteral } from "./quote.ts";

/** A prepared transaction: it outlives its session, and holds its locks until it is ended. */
export interface Prepared {
  readonly gid: string;
  readonly database: string;
}

const preparedRows = z.array(z.object({ gid: z.string(), database: z.string() }));

/** Statement for the prepared transactions of one role; {@link preparedOf} reads its rows. */
export const selectPrepared = (role: Pick<FoundRole, "name">): string =>
  `SELECT gid, database::text AS database FROM pg_prepared_xacts
   WHERE owner = ${quoteLiteral(role.name)}`;

export const preparedOf = (rows: unknown): readonly Prepared[] => preparedRows.parse(rows);

/**
 * Membership in a lease's role for ourselves: CREATEROLE alone may neither SET ROLE to it nor
 * give away what it owns. The DROP takes the membership with it.
 */
export async function joinRole(
  lane: Lane,
  role: Pick<FoundRole, "name">,
  deadline: Deadline,
): Promise<void> {
  const grant = `GRANT ${quoteIdentifier(role.name)} TO CURRENT_USER`;
  await lane.work.run(doBlock([grantAsMember(grant, "INHERIT TRUE, SET TRUE")]), deadline);
}

/** Rolls them back as their role, which {@link joinRole} allowed us, each in its own database. */
export async function rollBackPrepared(
  lane: Lane,
  role: Pick<FoundRole, "name">,
  prepared: readonly Prepared[],
  deadline: Deadline,
): Promise<void> {
  for (const { gid, database } of prepared) {
    await inDatabase(lane, database, (endpoint) => rollBack(endpoint, role, gid, deadline));
  }
}

/** A prepared transaction may be ended by its owner alone, in its own database. */
async function rollBack(
  endpoint: Endpoint,
  role: Pick<FoundRole, "name">,
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

/** Another database of the primary, with a clear word when it lets nobody in. */
export async function inDatabase<T>(
  lane: Lane,
  name: string,
  work: (endpoint: Endpoint) => Promise<T>,
): Promise<T> {
  const endpoint = lane.database(name);
  try {
    return await work(endpoint);
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
