import { BackendError, type InstantMs, type IssueContext, type Secret } from "@mayfly/spec";
import { mintDeadline, refuseLate } from "./issue.ts";
import { readHandle, readMark } from "./lease-mark.ts";
import { onEveryNode, unlessMissed, type Lane } from "./members.ts";
import { toBackendError } from "./redis-failure.ts";

/** Redis knows no expiry, so there is nothing to move: a user that is there goes on living. */
export async function extend(
  lane: Lane,
  secret: Secret,
  expiresAt: InstantMs,
  context: IssueContext,
): Promise<InstantMs> {
  const name = readHandle(secret);
  refuseLate(context, "renew");
  const deadline = mintDeadline(context);
  try {
    const everywhere = await onEveryNode(lane, deadline, (node) => node.userOf(name, deadline));
    const users = unlessMissed(everywhere, ({ agreedDown }) => agreedDown);
    const lives = users.some(
      ({ result }) => result?.on === true && readMark(result, lane.host)?.kind === "lease",
    );
    if (lives) return expiresAt;
  } catch (thrown) {
    throw toBackendError(thrown, "renew", "none");
  }
  throw new BackendError("Redis, renew: the user is gone", {
    effect: "none",
    retry: { kind: "never" },
  });
}
