import { createHash } from "node:crypto";
import { BackendError, Secret, type IssueContext, type IssuePlan, type Issued } from "@mayfly/spec";
import { aclRules } from "./acl-rules.ts";
import type { Deadline } from "./call-deadline.ts";
import { tagOf, writeHandle } from "./lease-mark.ts";
import { onEveryNode, unlessMissed, type Lane } from "./members.ts";
import { readUser, type Node } from "./node.ts";
import type { Command } from "./node-link.ts";
import { failures, RedisFailure } from "./redis-failure.ts";
import { leases } from "./role-settings.ts";
import { placeName, type Place } from "./server-settings.ts";

/** 256 bits: nothing to guess, so that one round of SHA-256 is enough. */
const PASSWORD_BYTES = 32;

/** What is answered later than `issueBy` is not known to have been done in time. */
export const mintDeadline = (context: IssueContext): Deadline => ({
  signal: context.signal,
  byMs: context.clock.monotonicMs() + Math.max(0, context.issueBy - context.clock.now()),
});

/**
 * Makes the user on every server, first having seen on each that its name is free.
 *
 * ACL SETUSER makes or alters, and no server can be told a deadline or a condition: MULTI with
 * WATCH needs a key, which a replica and most members of a cluster do not take. So a mint goes over
 * a connection that bears a name, nothing is sent once the deadline has passed, and `recover` has
 * each server kill the connections by which a late one could still come.
 */
export async function issue(lane: Lane, plan: IssuePlan, context: IssueContext): Promise<Issued> {
  const { host } = lane;
  const name = plan.externalName;
  const rules = aclRules(leases.grantOf(plan));
  const deadline = mintDeadline(context);
  const nodes = await nodesWithout(lane, name, deadline, context);
  const password = Buffer.from(host.random.bytes(PASSWORD_BYTES)).toString("base64url");
  const hash = createHash("sha256").update(password).digest("hex");
  const command: Command = [
    "ACL",
    "SETUSER",
    name,
    "reset",
    "on",
    `#${hash}`,
    `#${tagOf({ kind: "lease", name }, host)}`,
    ...rules,
  ];
  await setEverywhere(nodes, command, deadline, context);
  return {
    material: materialOf(lane, name, password),
    fingerprintOf: "password",
    expiresAt: plan.expiresAt,
    handle: writeHandle(name),
  };
}

/** The servers, on none of which there is a user of this name. */
async function nodesWithout(
  lane: Lane,
  name: string,
  deadline: Deadline,
  context: IssueContext,
): Promise<readonly Node[]> {
  try {
    const everywhere = await onEveryNode(lane, deadline, async (node) => {
      // Over the connection that will mint, so that it is there, and known by its name.
      const [reply] = await node.mints.exchange([["ACL", "GETUSER", name]], deadline, () =>
        failures.refuseLate(context, "issue"),
      );
      if (reply instanceof RedisFailure) throw reply;
      return readUser(name, reply);
    });
    // A member of a cluster that is down has no users to serve; the others go on without it.
    const found = unlessMissed(everywhere, ({ agreedDown }) => agreedDown);
    if (found.some(({ result }) => result !== null)) throw failures.nameTaken("a user");
    return found.map(({ node }) => node);
  } catch (thrown) {
    // Nothing was made yet, whatever became of the looking.
    throw failures.toBackendError(thrown, "issue", "none");
  }
}

async function setEverywhere(
  nodes: readonly Node[],
  command: Command,
  deadline: Deadline,
  context: IssueContext,
): Promise<void> {
  const attempts = await Promise.allSettled(
    nodes.map(async (node) => {
      const [reply] = await node.mints.exchange([command], deadline, () =>
        failures.refuseLate(context, "issue"),
      );
      if (reply instanceof RedisFailure) throw reply;
      await node.saves.run("").catch((thrown: unknown) => {
        // The user is there by now.
        throw failures.toBackendError(thrown, "issue", "unknown");
      });
    }),
  );
  const reasons = attempts.flatMap((one): readonly unknown[] =>
    one.status === "rejected" ? [one.reason] : [],
  );
  if (reasons.length === 0) return;
  const without = reasons.length === attempts.length && reasons.every(hadNoEffect);
  throw failures.withEffect(reasons[0], "issue", without ? "none" : "unknown");
}

const hadNoEffect = (reason: unknown): boolean =>
  BackendError.isBackendError(reason)
    ? reason.effect === "none"
    : reason instanceof RedisFailure && reason.kind !== "lost";

function materialOf({ settings }: Lane, username: string, password: string): Issued["material"] {
  const [{ host, port }] = settings.nodes as [Place, ...Place[]];
  const scheme = settings.tls === "unsafe_disable" ? "redis" : "rediss";
  const at = placeName({ host, port });
  return {
    host,
    port,
    nodes: settings.nodes.map(placeName),
    topology: settings.topology,
    username,
    password: Secret.of(password),
    tls: settings.tls,
    url: Secret.of(`${scheme}://${username}:${password}@${at}`),
  };
}
