import { z } from "zod";
import type { CallContext, Revoked, Secret } from "@mayfly/spec";
import { deadlineIn, leftMs } from "./call-deadline.ts";
import { endSessions, endSessionsOnce } from "./end-sessions.ts";
import type { Deadline, Endpoint } from "./endpoint.ts";
import { findLeaseRole, type FoundRole } from "./find-role.ts";
import type { Lane } from "./lane.ts";
import { readHandle, type LeaseHandle } from "./lease-mark.ts";
import {
  isConcurrentChange,
  PgFailure,
  SQLSTATE,
  toBackendError,
  unfinished,
} from "./pg-failure.ts";
import { oidLiteral, quoteIdentifier } from "./quote.ts";
import { holdingsOf, releaseHoldings } from "./release-holdings.ts";
import { runUnhindered } from "./run-unhindered.ts";
import { shutOut } from "./shut-out.ts";

/** Another revoker of the same role, or a holding that appeared: look again, so often. */
const ROUNDS_MAX = 6;

/**
 * Takes the login away, ends the sessions, releases what the role holds, drops it, and looks once
 * more. Each step is a transaction of its own and safe to repeat, so a crash between two is
 * finished by the next call.
 */
export async function revoke(lane: Lane, secret: Secret, context: CallContext): Promise<Revoked> {
  const handle = readHandle(secret);
  const deadline = deadlineIn(context, lane.settings.call_seconds_max * 4_000);
  try {
    await destroyRole(lane, handle, deadline);
    return { outcome: "refused" };
  } catch (thrown) {
    throw toBackendError(thrown, "revoke");
  }
}

export async function destroyRole(
  lane: Lane,
  handle: LeaseHandle,
  deadline: Deadline,
): Promise<void> {
  try {
    await destroyOnPrimary(lane, handle, deadline);
  } catch (thrown) {
    // Whatever stopped it on the primary: who is in elsewhere shall be out.
    const cuts = lane.standbys.map((standby) => endSessionsOnce(standby, handle.oid, deadline));
    await Promise.allSettled(cuts);
    throw thrown;
  }
  // Again after the DROP: whoever logged in while we looked is still there.
  await endSessions(lane, lane.work, handle.oid, deadline);
  for (const standby of lane.standbys) {
    await endSessions(lane, standby, handle.oid, deadline);
    await awaitReplay(lane, standby, handle, deadline);
  }
}

async function destroyOnPrimary(
  lane: Lane,
  handle: LeaseHandle,
  deadline: Deadline,
): Promise<void> {
  for (let round = 1; ; round++) {
    try {
      const role = await findLeaseRole(lane, handle, deadline);
      if (role !== null) await destroyOnce(lane, role, handle, deadline);
      return;
    } catch (thrown) {
      if (!(thrown instanceof PgFailure) || !mayPass(thrown)) throw thrown;
      if (round >= ROUNDS_MAX) {
        throw thrown.sqlstate === SQLSTATE.dependentObjects ? stillHeld(handle) : thrown;
      }
      // Sessions that filled the server's lock table take a moment to end.
      const pauseMs = thrown.sqlstate === SQLSTATE.outOfMemory ? 100 : 10;
      await lane.host.clock.sleep(pauseMs * round, deadline.signal);
    }
  }
}

/**
 * What others granted to the lease's role itself, on objects of theirs, only they or a superuser
 * can take back (DROP OWNED by anybody else passes over it without an error).
 */
const stillHeld = (handle: LeaseHandle): Error =>
  unfinished(
    `revoke: login and sessions are gone, but the role was granted something directly that only ` +
      `a superuser can take back: run DROP OWNED BY ${quoteIdentifier(handle.name)} as one, in ` +
      `each database where pg_shdepend names it`,
    60,
  );

const mayPass = (failure: PgFailure): boolean =>
  isConcurrentChange(failure) ||
  // Held by a lease of ours that came back, or by another process of ours.
  failure.sqlstate === SQLSTATE.lockTimeout ||
  failure.sqlstate === SQLSTATE.outOfMemory ||
  // Gone between look and statement, or something came to be owned in between.
  failure.sqlstate === SQLSTATE.undefinedObject ||
  failure.sqlstate === SQLSTATE.dependentObjects;

async function destroyOnce(
  lane: Lane,
  role: FoundRole,
  handle: LeaseHandle,
  deadline: Deadline,
): Promise<void> {
  const name = quoteIdentifier(role.name);
  await shutOut(lane, role, deadline);
  await releaseHoldings(lane, role, handle, await holdingsOf(lane, role, deadline), deadline);
  await runUnhindered(lane, lane.work, role, `DROP ROLE ${name}`, deadline);
}

const replayed = z.tuple([z.object({ can_log_in: z.boolean() })]);

/** A standby lets the role in until it has replayed the NOLOGIN. */
async function awaitReplay(
  lane: Lane,
  standby: Endpoint,
  handle: LeaseHandle,
  deadline: Deadline,
): Promise<void> {
  const { clock } = lane.host;
  for (;;) {
    const rows = await standby.run(
      `SELECT EXISTS (SELECT FROM pg_roles
         WHERE oid = ${oidLiteral(handle.oid)} AND rolcanlogin) AS can_log_in`,
      deadline,
    );
    const [{ can_log_in: canLogIn }] = replayed.parse(rows[0]);
    if (!canLogIn) break;
    if (leftMs(deadline, clock) < 200) {
      throw unfinished(`revoke: the standby ${standby.label} still accepts the role (replay lag)`);
    }
    await clock.sleep(100, deadline.signal);
  }
  await endSessions(lane, standby, handle.oid, deadline);
}
