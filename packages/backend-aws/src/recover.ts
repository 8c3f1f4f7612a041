import {
  durationSeconds,
  instantMs,
  type CallContext,
  type IssuePlan,
  type Recovered,
} from "@mayfly/spec";
import { SKEW_SECONDS } from "./issue.ts";
import type { Lane } from "./lane.ts";
import { deny, untilAborted } from "./revoke.ts";
import { leases, placeOf } from "./role-settings.ts";

/**
 * Cleans up after a mint whose outcome nobody recorded. AWS lists no sessions, so the ledger's word
 * counts: a name that was never taken had no request sent for it, and is refused from now on to
 * whoever would take it. For one that was taken there may be a session, and it is denied, whether
 * there is one or not.
 */
export async function recover(
  lane: Lane,
  plan: IssuePlan,
  context: CallContext,
): Promise<Recovered> {
  const { names, quarantineSeconds } = lane.host;
  const { externalName: name } = plan;
  const [first = ""] = leases.grantOf(plan).iam_roles;
  const before = await names.find(name);
  const now = context.clock.now();
  // The time until which one that was taken is refused was told when it was taken, and stays.
  const known = await names.refuse(name, before?.place ?? placeOf(first), now);
  if (known.isTaken && known.leftSeconds <= 0) {
    return { outcome: "absent", looked: { taken: true, session_is_over: true } };
  }
  // Nothing is said of a role that cannot be looked at.
  const { documents } = await untilAborted(lane.looks(known.place), context);
  if (!known.isTaken) {
    const leftSeconds = quarantineSeconds - (known.refusedForSeconds ?? 0);
    if (leftSeconds > 0) return wait(leftSeconds, "the name is held in the ledger");
    return { outcome: "absent", looked: { taken: false, deny_documents: documents.length } };
  }
  const until = instantMs(now + known.leftSeconds * 1_000 - SKEW_SECONDS * 1_000);
  const leftSeconds = await deny(lane, { name, place: known.place, until }, context);
  if (leftSeconds > 0) return wait(leftSeconds, "its deny may not be known everywhere yet");
  return { outcome: "destroyed", looked: { taken: true, denied: true } };
}

const wait = (seconds: number, reason: string): Recovered => ({
  outcome: "wait",
  seconds: durationSeconds(Math.max(0.1, seconds)),
  reason,
});
