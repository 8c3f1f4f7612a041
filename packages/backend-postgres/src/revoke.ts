import { z } from "zod";
import type { CallContext, Revoked, Secret } from "@mayfly/spec";
import type { AccessLeft } from "./access-message.ts";
import { deadlineIn, leftMs } from "./call-deadline.ts";
import { endSessions, endSessionsOnce, sessionsStay } from "./end-sessions.ts";
import type { Deadline, Endpoint } from "./endpoint.ts";
import { findLeaseRole, type FoundRole } from "./find-role.ts";
import type { Lane } from "./lane.ts";
import type { LeaseBatcher } from "./lease-batcher.ts";
import type { LeaseBatches } from "./lease-batches.ts";
import { readHandle, type LeaseHandle } from "./lease-mark.ts";
import { isConcurrentChange, PgFailure, SQLSTATE, unfinished } from "./pg-failure.ts";
import { oidLiteral, quoteIdentifier } from "./quote.ts";
import { holdingsOf, releaseHoldings } from "./release-holdings.ts";
import { runUnhindered } from "./run-unhindered.ts";
import { shutOut } from "./shut-out.ts";

/** Another revoker of the same role, or a holding that appeared: look again, so often. */
const ROUNDS_MAX = 6;

/**
 * Drops the role and ends its sessions, on every endpoint, together with others that end at that
 * time. One that holds something, or is held up by somebody, goes alone: the login is taken away,
 * the sessions ended, what it holds released, the role dropped. Each step is a transaction of its
 * own and safe to repeat, so a crash between two is finished by the next call.
 */
export async function revoke(
  lane: Lane,
  batches: LeaseBatches,
  secret: Secret,
  context: CallContext,
): Promise<Revoked> {
  const handle = readHandle(secret);
  const deadline = deadlineIn(context, lane.settings.call_seconds_max * 4_000);
  await destroyRole(lane, batches, handle, deadline);
  return { outcome: "refused" };
}

export async function destroyRole(
  lane: Lane,
  batches: LeaseBatches,
  handle: LeaseHandle,
  deadline: Deadline,
): Promise<void> {
  for (let round = 1; ; round++) {
    try {
      await destroyEverywhere(lane, batches, handle, deadline);
      return;
    } catch (thrown) {
      if (!isCrowdedOut(thrown) || round >= CUTS_MAX || deadline.signal.aborted) throw thrown;
      const cut = await Promise.all(lane.reserves.map((reserve) => reserve.cut(handle)));
      if (!cut.includes(true)) throw thrown;
      await lane.host.clock.sleep(CUT_MS, deadline.signal);
    }
  }
}

/** A lease that comes back and fills the table again; the next attempt goes on. */
const CUTS_MAX = 4;

/** What a session that held very many locks takes to end. */
const CUT_MS = 250;

/** The server's lock table is full: it refuses statements, and whoever wants to connect. */
const isCrowdedOut = (thrown: unknown): boolean =>
  thrown instanceof PgFailure &&
  (thrown.sqlstate === SQLSTATE.outOfMemory || thrown.kind === "not_sent");

async function destroyEverywhere(
  lane: Lane,
  batches: LeaseBatches,
  handle: LeaseHandle,
  deadline: Deadline,
): Promise<void> {
  if ((await batches.drops.run(handle, deadline.signal)) === null) {
    await destroyAlone(lane, handle, deadline);
  }
  // Again after the DROP: whoever logged in while we looked is still there.
  await cutOff(lane, { endpoint: lane.work, cuts: batches.primary.cuts }, handle, deadline);
  for (const [place, endpoint] of lane.standbys.entries()) {
    const cuts = batches.standbys[place]?.cuts;
    if (cuts !== undefined) await cutOff(lane, { endpoint, cuts }, handle, deadline);
  }
}

async function destroyAlone(lane: Lane, handle: LeaseHandle, deadline: Deadline): Promise<void> {
  try {
    await destroyOnPrimary(lane, handle, deadline);
  } catch (thrown) {
    // Whatever stopped it on the primary: who is in elsewhere shall be out.
    const cuts = lane.standbys.map((standby) => endSessionsOnce(standby, handle.oid, deadline));
    await Promise.allSettled(cuts);
    throw thrown;
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

interface Place {
  readonly endpoint: Endpoint;
  readonly cuts: LeaseBatcher<AccessLeft>;
}

/**
 * Ends the sessions on one endpoint until there is none, and waits until nobody can log in there:
 * a standby lets the role in until it has replayed the DROP.
 */
async function cutOff(
  lane: Lane,
  { endpoint, cuts }: Place,
  handle: LeaseHandle,
  deadline: Deadline,
): Promise<void> {
  const { clock } = lane.host;
  let patience = patienceFor(lane, deadline);
  for (let pauseMs = 5; ; pauseMs = Math.min(100, pauseMs * 2)) {
    const left = await cuts.run(handle, deadline.signal);
    if (left === null) {
      await cutOffAlone(lane, endpoint, handle, deadline);
      return;
    }
    if (!left.canLogIn && left.sessions === 0) return;
    if (left.canLogIn) {
      // Whoever can log in again may have sessions for as long.
      patience = patienceFor(lane, deadline);
      if (leftMs(deadline, clock) < REPLAY_MS_MIN) throw stillLetsIn(endpoint);
    } else if (clock.monotonicMs() >= patience) {
      throw sessionsStay(left.sessions, endpoint);
    }
    await clock.sleep(Math.min(pauseMs, leftMs(deadline, clock)), deadline.signal);
  }
}

const patienceFor = ({ host, settings }: Lane, deadline: Deadline): number =>
  Math.min(deadline.byMs, host.clock.monotonicMs() + settings.call_seconds_max * 1_000);

/** With less time than this left, it is no use to look once more. */
const REPLAY_MS_MIN = 200;

const stillLetsIn = ({ label }: Endpoint): Error =>
  unfinished(`revoke: the standby ${label} still accepts the role (replay lag)`);

const loginRow = z.tuple([z.object({ can_log_in: z.boolean() })]);

async function cutOffAlone(
  lane: Lane,
  endpoint: Endpoint,
  handle: LeaseHandle,
  deadline: Deadline,
): Promise<void> {
  const { clock } = lane.host;
  for (;;) {
    const rows = await endpoint.run(
      `SELECT EXISTS (SELECT FROM pg_roles
         WHERE oid = ${oidLiteral(handle.oid)} AND rolcanlogin) AS can_log_in`,
      deadline,
    );
    const [{ can_log_in: canLogIn }] = loginRow.parse(rows[0]);
    if (!canLogIn) break;
    await endSessionsOnce(endpoint, handle.oid, deadline);
    if (leftMs(deadline, clock) < REPLAY_MS_MIN) throw stillLetsIn(endpoint);
    await clock.sleep(100, deadline.signal);
  }
  await endSessions(lane, endpoint, handle.oid, deadline);
}
