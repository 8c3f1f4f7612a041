import { z } from "zod";
import { BackendError, linkSignals } from "@mayfly/spec";
import { clearBlockers } from "./clear-blockers.ts";
import type { Deadline, Endpoint } from "./endpoint.ts";
import type { FoundRole } from "./find-role.ts";
import type { Lane } from "./lane.ts";
import { PgFailure, SQLSTATE, unfinished } from "./pg-failure.ts";

/** How long a statement waits for a lock before we look who holds it. */
const LOCK_MS = 200;
/** Between two looks, at most. */
const LOOK_MS = 200;

export const withShortLock = (text: string): string =>
  `SET LOCAL lock_timeout = ${LOCK_MS};\n${text}`;

export const isLockTimeout = (thrown: unknown): boolean =>
  thrown instanceof PgFailure && thrown.sqlstate === SQLSTATE.lockTimeout;

/**
 * Runs a statement that ends a lease, on `endpoint`; whatever lock of a lease it would wait for
 * is taken from that lease. Fails with a word about who holds the lock if it is nobody of ours.
 */
export async function runUnhindered(
  lane: Lane,
  endpoint: Endpoint,
  own: FoundRole,
  text: string,
  deadline: Deadline,
): Promise<void> {
  try {
    await endpoint.run(withShortLock(text), deadline);
  } catch (thrown) {
    if (!isLockTimeout(thrown)) throw thrown;
    await runWatched(lane, endpoint.database, own, text, deadline);
  }
}

const pidRow = z.tuple([z.object({ pid: z.int() })]);

/**
 * The statement on a connection of its own, and meanwhile a look from another one at who blocks
 * it. It keeps its place in the lock's queue all the time, so that a lease that comes back at
 * once only queues behind it.
 */
export async function runWatched(
  lane: Lane,
  database: string,
  own: FoundRole,
  text: string,
  deadline: Deadline,
): Promise<void> {
  const endpoint = lane.database(database);
  try {
    await endpoint.session(deadline, async (session) => {
      const [rows] = await session.run("SELECT pg_backend_pid() AS pid");
      const [{ pid }] = pidRow.parse(rows);
      const done = new AbortController();
      const watching = watch(lane, pid, own, { ...deadline, done: done.signal });
      try {
        await session.run(text);
      } catch (thrown) {
        done.abort();
        throw (await watching) ?? thrown;
      } finally {
        done.abort();
        await watching;
      }
    });
  } finally {
    await endpoint.close();
  }
}

/** Looks until `done`. Answers what there is to say should the statement have failed. */
async function watch(
  lane: Lane,
  pid: number,
  own: FoundRole,
  until: Deadline & { readonly done: AbortSignal },
): Promise<Error | null> {
  const { clock } = lane.host;
  using linked = linkSignals(until.signal, until.done);
  const { signal } = linked;
  let said: Error | null = null;
  for (let pauseMs = 5; !signal.aborted; pauseMs = Math.min(LOOK_MS, pauseMs * 2)) {
    try {
      const strangers = await clearBlockers(lane, pid, own, until);
      if (strangers.length > 0) said = heldBy(strangers);
    } catch (thrown) {
      // The statement decides; this is only why it may have waited in vain.
      lane.host.log.warn("what blocks the end of a lease could not be cleared", {}, thrown);
      if (BackendError.isBackendError(thrown)) said = thrown;
    }
    await clock.sleep(pauseMs, signal).catch(() => undefined);
  }
  return said;
}

const heldBy = (strangers: readonly string[]): Error =>
  unfinished(
    `revoke: a lock that the end needs is held by ${strangers.slice(0, 5).join(", ")}, which is ` +
      "no lease of ours and was left alone: let it finish, or end it",
  );
