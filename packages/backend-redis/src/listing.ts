import { readLeaseName } from "@mayfly/backend-kit";
import type { BackendHost, CallContext, Marked, MarkedPage } from "@mayfly/spec";
import { readMark, writeHandle, type ListedUser } from "./lease-mark.ts";
import { onEveryNode, unlessMissed, type Lane } from "./members.ts";
import { toBackendError } from "./redis-failure.ts";
import { wholeDeadline } from "./revoke.ts";

/** As the interface allows. */
const PAGE = 1_000;
/** A tombstone this much older than its quarantine was forgotten by whoever made it. */
const FORGOTTEN_SECONDS = 60;

/**
 * Every user whose name has the form of ours, on whichever server, of any installation, in the
 * order of names. A member of a cluster that is down is looked at when it is back.
 */
export async function listMarked(
  lane: Lane,
  after: string | null,
  context: CallContext,
): Promise<MarkedPage> {
  const deadline = wholeDeadline(lane, context);
  try {
    const everywhere = await onEveryNode(lane, deadline, (node) => node.users(deadline));
    const copies = unlessMissed(everywhere, ({ agreedDown }) => agreedDown)
      .flatMap(({ result }) => result)
      .filter(({ name }) => readLeaseName(name) !== null && (after === null || name > after));
    const byName = Map.groupBy(copies, ({ name }) => name);
    const names = [...byName.keys()].toSorted().slice(0, PAGE);
    return {
      marked: names.flatMap((name) => markedOf(name, byName.get(name) ?? [], lane.host)),
      next: names.length === PAGE ? (names.at(-1) ?? null) : null,
    };
  } catch (thrown) {
    throw toBackendError(thrown, "list");
  }
}

/**
 * A young tombstone is no credential and no orphan: whoever recovers takes it away. One that is
 * left over is listed like a lease, so that it is destroyed. One copy without our mark is enough
 * for the name not to be touched.
 */
function markedOf(
  externalName: string,
  copies: readonly ListedUser[],
  host: BackendHost,
): readonly Marked[] {
  const named = readLeaseName(externalName);
  if (named === null) return [];
  if (named.installation !== host.installation) {
    return [{ externalName, mark: { kind: "foreign", installation: named.installation } }];
  }
  const marks = copies.map((copy) => readMark(copy, host));
  if (marks.includes(null)) return [{ externalName, mark: { kind: "unverified" } }];
  const keepMs = (host.quarantineSeconds + FORGOTTEN_SECONDS) * 1_000;
  const young = marks.every(
    (mark) => mark?.kind === "tombstone" && host.clock.now() - mark.at < keepMs,
  );
  if (young) return [];
  const handle = writeHandle(externalName);
  return [{ externalName, mark: { kind: "ours", leaseId: named.leaseId, handle } }];
}
