import type { CallContext, Probe, Revoked, Secret } from "@mayfly/spec";
import { deadlineIn, leftMs, type Deadline } from "./call-deadline.ts";
import { readHandle } from "./lease-mark.ts";
import { onEveryNode, unlessMissed, type Lane } from "./members.ts";
import type { Left, Node } from "./node.ts";
import { unfinished } from "./redis-failure.ts";

/** Deletes the user on every server, which closes its connections there. Safe to repeat. */
export async function revoke(lane: Lane, secret: Secret, context: CallContext): Promise<Revoked> {
  const name = readHandle(secret);
  await destroyUser(lane, name, wholeDeadline(lane, context));
  return { outcome: "refused" };
}

/** For what asks every server several times. */
export const wholeDeadline = (lane: Lane, context: CallContext): Deadline =>
  deadlineIn(context, lane.settings.call_seconds_max * 3_000);

/**
 * Until every server has been seen without the user and its connections. One that is down has to
 * come back, or to leave by configuration: started again from an old ACL file it would let the user
 * in.
 */
export async function destroyUser(lane: Lane, name: string, deadline: Deadline): Promise<void> {
  unlessMissed(await onEveryNode(lane, deadline, (node) => endOn(lane, node, name, deadline)));
}

async function endOn(lane: Lane, node: Node, name: string, deadline: Deadline): Promise<void> {
  const { clock } = lane.host;
  let left = await node.ends.run(name);
  for (let pauseMs = 5; left.users + left.sessions > 0; pauseMs = Math.min(100, pauseMs * 2)) {
    if (leftMs(deadline, clock) < pauseMs) {
      throw unfinished(`revoke: the user has ${left.sessions} connections on ${node.place} still`);
    }
    await clock.sleep(pauseMs, deadline.signal);
    left = left.users > 0 ? await node.ends.run(name) : await node.looks.run(name);
  }
}

/** Looks at all that revocation is to have removed, on every server: the user, its connections. */
export async function probe(lane: Lane, secret: Secret, context: CallContext): Promise<Probe> {
  const name = readHandle(secret);
  const seen = unlessMissed(
    await onEveryNode(lane, wholeDeadline(lane, context), (node) => node.looks.run(name)),
  );
  const sum = (member: keyof Left): number =>
    seen.reduce((total, { result }) => total + result[member], 0);
  const looked = {
    users: sum("users"),
    users_that_log_in: sum("users_that_log_in"),
    sessions: sum("sessions"),
    nodes: seen.map(({ node }) => node.place).toSorted(),
  };
  const lives = looked.users_that_log_in + looked.sessions > 0;
  return { verdict: lives ? "accepted" : "refused", looked };
}
