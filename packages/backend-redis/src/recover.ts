import { waitMs } from "@mayfly/backend-kit";
import type { DurationSeconds, IssuePlan, RecoverContext, Recovered } from "@mayfly/spec";
import type { Deadline } from "./call-deadline.ts";
import { readMark, tombstoneRules, type Mark } from "./lease-mark.ts";
import { onEveryNode, unlessMissed, type Lane } from "./members.ts";
import { mintLinkName, type Node } from "./node.ts";
import { unfinished } from "./redis-failure.ts";
import { destroyUser, wholeDeadline } from "./revoke.ts";

/**
 * Cleans up after a mint whose outcome nobody recorded. On every server it first has the
 * connections killed over which that mint could still come, then takes its name by a user that
 * cannot log in. This tombstone says when it was made, so that any process can go on where another
 * one crashed; after the quarantine it goes, if nothing has come of the mint on any server.
 */
export async function recover(
  lane: Lane,
  plan: IssuePlan,
  issueCallSecondsMax: DurationSeconds,
  context: RecoverContext,
): Promise<Recovered> {
  const deadline = wholeDeadline(lane, context);
  const { externalName: name } = plan;
  return await takeOrSettle(lane, name, issueCallSecondsMax, deadline, context.found);
}

async function takeOrSettle(
  lane: Lane,
  name: string,
  issueCallSecondsMax: number,
  deadline: Deadline,
  tellFound: RecoverContext["found"],
): Promise<Recovered> {
  const { host } = lane;
  const everywhere = await onEveryNode(lane, deadline, async (node) => {
    await shutOutLateMints(lane, node, issueCallSecondsMax, deadline);
    return markOn(lane, node, name, deadline);
  });
  const found = unlessMissed(everywhere).map(({ node, result }) => ({ node, mark: result }));
  const leases = found.filter(({ mark }) => mark?.kind === "lease").length;
  if (leases > 0) {
    const looked = { users: leases, nodes: found.length };
    await tellFound(looked);
    await destroyUser(lane, name, deadline);
    return { outcome: "destroyed", looked };
  }
  const made = found.map(({ mark }) => (mark?.kind === "tombstone" ? mark.at : null));
  const oldest = Math.min(...made.map((at) => at ?? host.clock.now()));
  const without = found.filter((_, place) => made[place] === null);
  if (without.length > 0) {
    const rules = tombstoneRules(name, host.clock.now(), host);
    await Promise.all(
      without.map(({ node }) => node.work.ask(["ACL", "SETUSER", name, ...rules], deadline)),
    );
    return waitMs(host.quarantineSeconds * 1_000);
  }
  const newest = Math.max(...made.map((at) => at ?? 0));
  const leftMs = newest + host.quarantineSeconds * 1_000 - host.clock.now();
  if (leftMs > 0) return waitMs(leftMs);
  await destroyUser(lane, name, deadline);
  const heldSeconds = Math.round((host.clock.now() - oldest) / 1_000);
  return {
    outcome: "absent",
    looked: { users: 0, nodes: found.length, tombstone: true, held_seconds: heldSeconds },
  };
}

/**
 * A mint leaves before its deadline over a connection that the server knows by name already, and
 * nobody recovers before the longest call after that deadline has passed. So a connection that is
 * younger than that bears no mint of then; an older one is a frozen process's, since others have
 * changed to a new one. What still comes over a killed connection the server never reads.
 */
async function shutOutLateMints(
  { settings, host }: Lane,
  node: Node,
  issueCallSecondsMax: number,
  deadline: Deadline,
): Promise<void> {
  const clients = await node.clients(deadline);
  const late = clients.filter(
    ({ user, name, ageSeconds }) =>
      user === settings.username &&
      name === mintLinkName(host) &&
      ageSeconds >= issueCallSecondsMax,
  );
  for (const { id } of late) await node.work.ask(["CLIENT", "KILL", "ID", id], deadline);
}

async function markOn(
  { host }: Lane,
  node: Node,
  name: string,
  deadline: Deadline,
): Promise<Mark | null> {
  const user = await node.userOf(name, deadline);
  if (user === null) return null;
  const mark = readMark(user, host);
  if (mark !== null) return mark;
  throw unfinished(
    "recover: a user bears this lease's name without a valid mark of ours, so it is not " +
      "touched; an administrator has to look at it",
    60,
  );
}
