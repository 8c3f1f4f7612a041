import { endSessions, endSessionsOnce } from "./end-sessions.ts";
import type { Deadline } from "./endpoint.ts";
import type { FoundRole } from "./find-role.ts";
import type { Lane } from "./lane.ts";
import { doBlock } from "./mint-message.ts";
import { isConcurrentChange, PgFailure, SQLSTATE } from "./pg-failure.ts";
import { oidLiteral, quoteIdentifier } from "./quote.ts";
import { isLockTimeout, runWatched, withShortLock } from "./run-unhindered.ts";

/**
 * Takes the login away and ends the sessions, whatever the lease does against it.
 *
 * It needs no right to change its own password, and an open or prepared transaction that did so
 * holds the row that NOLOGIN changes. So a NOLOGIN that would wait is sent once more, on a
 * connection of its own, while the lease's sessions are ended and what it prepared is rolled back.
 */
export async function shutOut(lane: Lane, role: FoundRole, deadline: Deadline): Promise<void> {
  if (role.canLogIn) {
    try {
      await takeLogin(lane, role, deadline);
    } catch (thrown) {
      // Whatever stops it: who is in shall be out, and it is tried again.
      await endSessionsOnce(lane.work, role.oid, deadline).catch(() => undefined);
      throw thrown;
    }
  }
  await endSessions(lane, lane.work, role.oid, deadline);
}

async function takeLogin(lane: Lane, role: FoundRole, deadline: Deadline): Promise<void> {
  const name = quoteIdentifier(role.name);
  try {
    await lane.work.run(withShortLock(`ALTER ROLE ${name} NOLOGIN`), deadline);
  } catch (thrown) {
    if (!(thrown instanceof PgFailure)) throw thrown;
    if (thrown.sqlstate === SQLSTATE.outOfMemory) {
      // The server's lock table is full, and it lets nobody new in: on a connection that we have.
      await lane.work.run(cutAndLockOut(role), deadline);
    } else if (isLockTimeout(thrown) || isConcurrentChange(thrown)) {
      await runWatched(lane, lane.settings.database, role, cutAndLockOut(role), deadline);
    } else throw thrown;
  }
}

/** So often, on the server, each right after ending the sessions: nobody logs in as fast. */
const TRIES = 100;

/**
 * Each change that somebody commits while we wait fails ours ("tuple concurrently updated"). A
 * client that logs in again and again and changes its password must not win that race, so the
 * tries are one statement: between ending the sessions and the next try lies no round trip.
 */
const cutAndLockOut = (role: FoundRole): string =>
  doBlock([
    `FOR try IN 1..${TRIES} LOOP`,
    "  PERFORM pg_stat_clear_snapshot();",
    "  PERFORM pg_terminate_backend(pid) FROM pg_stat_activity",
    `    WHERE usesysid = ${oidLiteral(role.oid)};`,
    "  BEGIN",
    `    ALTER ROLE ${quoteIdentifier(role.name)} NOLOGIN;`,
    "    RETURN;",
    "  EXCEPTION WHEN internal_error OR out_of_memory THEN",
    `    IF try = ${TRIES} THEN RAISE; END IF;`,
    // A session that filled the lock table takes a moment to end.
    "    IF SQLSTATE = '53200' THEN PERFORM pg_sleep(0.005); END IF;",
    "  END;",
    "END LOOP;",
  ]);
