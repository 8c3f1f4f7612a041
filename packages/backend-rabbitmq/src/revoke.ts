import type { CallContext, Probe, Revoked, Secret } from "@mayfly/spec";
import {
  closeConnections,
  connectionsOf,
  userOf,
  userPath,
  wholeCluster,
  type Lane,
} from "./lane.ts";
import { readHandle } from "./lease-mark.ts";
import { RabbitFailure, unfinished } from "./rabbit-failure.ts";

/**
 * Deletes the user, then closes its connections until there are none. A connection goes on with
 * what it was allowed when it asked, so that the user's end alone ends nothing that is open.
 */
export async function revoke(lane: Lane, secret: Secret, context: CallContext): Promise<Revoked> {
  const name = readHandle(secret);
  await destroyUser(lane, name, context);
  return { outcome: "refused" };
}

/** How long we wait, all in all, for connections to be gone: three calls of the longest kind. */
const patienceMs = ({ settings }: Lane): number => settings.call_seconds_max * 3_000;
/** A node takes a moment to count a connection that was let in just before. */
const SETTLING_MS = 50;

/** Two that delete one user at once make the server answer 500 to one of them. */
async function deleteUser(lane: Lane, name: string, context: CallContext): Promise<void> {
  try {
    await lane.work.call("DELETE", userPath(name), context, { also: [404] });
  } catch (thrown) {
    if (!(thrown instanceof RabbitFailure) || thrown.status === null) throw thrown;
    if ((await userOf(lane.work, name, context)) !== null) throw thrown;
  }
}

export async function destroyUser(lane: Lane, name: string, context: CallContext): Promise<void> {
  const { clock } = context;
  const byMs = clock.monotonicMs() + patienceMs(lane);
  await deleteUser(lane, name, context);
  let seenNone = 0;
  // The server itself begins to close the connections of a user that is deleted.
  await clock.sleep(SETTLING_MS, context.signal);
  for (let pauseMs = SETTLING_MS; ; pauseMs = Math.min(400, pauseMs * 2)) {
    const left = await connectionsOf(lane, name, context);
    seenNone = left === 0 ? seenNone + 1 : 0;
    if (seenNone === 2) break;
    if (left > 0) await closeConnections(lane, name, context);
    if (clock.monotonicMs() + pauseMs > byMs) {
      throw unfinished(`revoke: the user is gone, and ${left} of its connections are not yet`);
    }
    await clock.sleep(left > 0 ? pauseMs : SETTLING_MS, context.signal);
  }
  await wholeCluster(lane);
}

/** Looks at all that revocation is to have removed: the user, and its connections on every node. */
export async function probe(lane: Lane, secret: Secret, context: CallContext): Promise<Probe> {
  const name = readHandle(secret);
  const user = await userOf(lane.work, name, context);
  const looked = {
    users: user === null ? 0 : 1,
    users_that_log_in: user !== null && user.password_hash !== "" ? 1 : 0,
    connections: await connectionsOf(lane, name, context),
    nodes: await wholeCluster(lane),
  };
  const lives = looked.users_that_log_in + looked.connections > 0;
  return { verdict: lives ? "accepted" : "refused", looked };
}
