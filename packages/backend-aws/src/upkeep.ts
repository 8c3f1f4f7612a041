import type { CallContext } from "@mayfly/spec";
import { failures } from "./aws-failure.ts";
import type { Lane } from "./lane.ts";
import { untilAborted } from "./revoke.ts";

/** Ends go on beside it: it takes half of the slots. */
const PLACES_AT_ONCE = 4;

/**
 * U1. Compares the denies of each role with the ledger: writes what is missing, prunes. Where
 * others have taken of the room that was promised, nothing more is to be issued. One role where it
 * cannot keeps it from no other; the first such failure is what it rejects with.
 */
export async function upkeep(lane: Lane, context: CallContext): Promise<void> {
  const places = await lane.host.names.places();
  // From anywhere on: where the time is too short for all, the last ones are others each time.
  const from = (lane.host.random.bytes(1)[0] ?? 0) % Math.max(1, places.length);
  const waiting = [...places.slice(from), ...places.slice(0, from)];
  const failed: unknown[] = [];
  const work = async (): Promise<void> => {
    for (let place = waiting.shift(); place !== undefined; place = waiting.shift()) {
      await lookAfter(lane, place, context).catch((thrown: unknown) => failed.push(thrown));
    }
  };
  await Promise.all(Array.from({ length: PLACES_AT_ONCE }, work));
  if (failed.length > 0) throw failed[0];
}

async function lookAfter(lane: Lane, place: string, context: CallContext): Promise<void> {
  const { deny_characters: promised } = lane.settings;
  const { room, leftByChecks, isMissing } = await untilAborted(lane.looks(place), context);
  // Its sessions can do nothing any more, and it bears no denies.
  if (isMissing) return;
  await untilAborted(lane.rewrites(place), context);
  // A check is under way, perhaps.
  if (room + leftByChecks.characters >= promised) return;
  throw failures.unfinished(
    `${place}: its other inline policies leave ${room} characters for denies, and ` +
      `deny_characters is ${promised}; make them managed ones`,
  );
}
