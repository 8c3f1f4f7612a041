import type { InstantMs, IssueContext, Secret } from "@mayfly/spec";
import { mintDeadline } from "./issue.ts";
import { readHandle, readMark } from "./lease-mark.ts";
import { onEveryNode, unlessMissed, type Lane } from "./members.ts";
import { failures } from "./redis-failure.ts";

/** Redis knows no expiry, so there is nothing to move: a user that is there goes on living. */
export async function extend(
  lane: Lane,
  secret: Secret,
  expiresAt: InstantMs,
  context: IssueContext,
): Promise<InstantMs> {
  const name = readHandle(secret);
  const deadline = mintDeadline(context);
  try {
    const everywhere = await onEveryNode(lane, deadline, (node) => node.userOf(name, deadline));
    const users = unlessMissed(everywhere, ({ agreedDown }) => agreedDown);
    const lives = users.some(
      ({ result }) => result?.on === true && readMark(result, lane.host)?.kind === "lease",
    );
    if (lives) return expiresAt;
  } catch (thrown) {
    // It only looked.
    throw failures.toBackendError(thrown, "renew", "none");
  }
  throw failures.gone("the user");
}
