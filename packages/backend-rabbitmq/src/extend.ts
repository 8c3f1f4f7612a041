import type { InstantMs, IssueContext, Secret } from "@mayfly/spec";
import { userOf, type Lane } from "./lane.ts";
import { readHandle, readMark } from "./lease-mark.ts";
import { failures } from "./rabbit-failure.ts";

/** RabbitMQ's users know no expiry, so there is nothing to move: one that is there lives on. */
export async function extend(
  lane: Lane,
  secret: Secret,
  expiresAt: InstantMs,
  context: IssueContext,
): Promise<InstantMs> {
  const name = readHandle(secret);
  try {
    const user = await userOf(lane.work, name, context);
    if (user !== null && readMark(user, lane.host)?.kind === "lease") return expiresAt;
  } catch (thrown) {
    // It only looked.
    throw failures.toBackendError(thrown, "renew", "none");
  }
  throw failures.gone("the user");
}
