import { BackendError, type InstantMs, type IssueContext, type Secret } from "@mayfly/spec";
import { refuseLate } from "./issue.ts";
import { userOf, type Lane } from "./lane.ts";
import { readHandle, readMark } from "./lease-mark.ts";
import { toBackendError } from "./rabbit-failure.ts";

/** RabbitMQ's users know no expiry, so there is nothing to move: one that is there lives on. */
export async function extend(
  lane: Lane,
  secret: Secret,
  expiresAt: InstantMs,
  context: IssueContext,
): Promise<InstantMs> {
  const name = readHandle(secret);
  refuseLate(context, "renew");
  try {
    const user = await userOf(lane.work, name, context);
    if (user !== null && readMark(user, lane.host)?.kind === "lease") return expiresAt;
  } catch (thrown) {
    throw toBackendError(thrown, "renew", "none");
  }
  throw new BackendError("RabbitMQ, renew: the user is gone", {
    effect: "none",
    retry: { kind: "never" },
  });
}
