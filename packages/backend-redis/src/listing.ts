import { LISTED_MAX, listedMarks, readLeaseName } from "@mayfly/backend-kit";
import type { BackendHost, CallContext, Marked, MarkedPage } from "@mayfly/spec";
import { readMark, writeHandle, type ListedUser, type Mark } from "./lease-mark.ts";
import { onEveryNode, unlessMissed, type Lane } from "./members.ts";
import { wholeDeadline } from "./revoke.ts";

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
  const everywhere = await onEveryNode(lane, deadline, (node) => node.users(deadline));
  const copies = unlessMissed(everywhere, ({ agreedDown }) => agreedDown)
    .flatMap(({ result }) => result)
    .filter(({ name }) => readLeaseName(name) !== null && (after === null || name > after));
  const byName = Map.groupBy(copies, ({ name }) => name);
  const names = [...byName.keys()].toSorted().slice(0, LISTED_MAX);
  return {
    marked: names.flatMap((name) => markedOf(name, byName.get(name) ?? [], lane.host)),
    next: names.length === LISTED_MAX ? (names.at(-1) ?? null) : null,
  };
}

/** Copies of a user, one on each server: one without our mark, and it is not touched. */
function markedOf(
  externalName: string,
  copies: readonly ListedUser[],
  host: BackendHost,
): readonly Marked[] {
  const mark = (): Mark | null => {
    const marks = copies.map((copy) => readMark(copy, host));
    if (marks.includes(null)) return null;
    // A lease before all, and of tombstones the oldest.
    return marks.toSorted((a, b) => madeAt(a) - madeAt(b))[0] ?? null;
  };
  return listedMarks({ externalName, mark, handle: () => writeHandle(externalName) }, host);
}

const madeAt = (mark: Mark | null): number => (mark?.kind === "tombstone" ? mark.at : 0);
