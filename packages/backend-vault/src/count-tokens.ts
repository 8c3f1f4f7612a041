import { CallBatcher } from "@mayfly/backend-kit";
import type { CallContext } from "@mayfly/spec";
import { inParallel } from "./in-parallel.ts";
import { createPath, LEASES, listAt, type Place, type TokenCount } from "./lane.ts";
import { roleNameOf } from "./lease-mark.ts";
import { failures } from "./vault-failure.ts";

/** As many as a pass may have under way; the listing has those of all. */
const BATCH_MAX = 256;
const WAITING_MAX = 4_096;
/** Fewer are counted one by one. */
const TOGETHER_MIN = 8;
/** One listing is worth it where it has at most so many lines for each that is counted. */
const LINES_EACH_MAX = 64;

/**
 * Counts the tokens of many leases: the roles by which there are any are one listing, and whoever
 * is not on it has none. Only of the others one is asked by itself, and of few, and where so many
 * leases live that the listing were the greater part.
 */
export function countTokens(
  place: Place,
  { atOnce, closing }: { readonly atOnce: number; readonly closing: AbortSignal },
): CallBatcher<string, TokenCount> {
  const context: CallContext = { clock: place.host.clock, signal: closing, traceId: "" };
  /** Of the last listing, less those that are paid for by what was counted without one since. */
  let lines = 0;
  const maybeThere = async (names: readonly string[]): Promise<ReadonlySet<string>> => {
    if (names.length < TOGETHER_MIN) return new Set(names);
    if (lines > names.length * LINES_EACH_MAX) {
      // Most of them may be gone by then: it is found out for the price that one may have.
      lines -= names.length * LINES_EACH_MAX;
      return new Set(names);
    }
    const there = new Set(await listAt(place, `${LEASES}/auth/token/create/`, context));
    lines = there.size;
    return new Set(names.filter((name) => there.has(`${roleNameOf(name, place.host)}/`)));
  };
  const count = async (name: string): Promise<TokenCount> => {
    try {
      const found = await listAt(place, `${LEASES}/${createPath(name, place.host)}/`, context);
      return { kind: "counted", tokens: found.length };
    } catch (thrown) {
      return { kind: "failed", why: thrown instanceof Error ? thrown : new Error("not counted") };
    }
  };
  return new CallBatcher({
    batchMax: BATCH_MAX,
    waitingMax: WAITING_MAX,
    atOnce,
    // What one of them fails by is told to that one; what is thrown is of the listing.
    isOfOne: () => false,
    refusal: (why) => failures.unfinished(`tokens were not counted: ${why}`, 1),
    work: async (names) => {
      // A listing that fails proves nothing: each is asked by itself.
      const asked = await maybeThere(names).catch(() => new Set(names));
      const counts = new Map<string, TokenCount>();
      await inParallel(names, atOnce, async (name) => {
        counts.set(name, asked.has(name) ? await count(name) : { kind: "counted", tokens: 0 });
      });
      return counts;
    },
  });
}
