import type { CallContext } from "@mayfly/spec";
import type { KeySet } from "./parse-jwk-set.ts";

/** Where a trust root's keys come from. */
export interface KeySource {
  /** The keys in memory, however old, or null. */
  held(): KeySet | null;
  /** The keys in memory if they need no refresh now, or null. Never fetches. */
  fresh(context: CallContext): KeySet | null;
  /** The keys to verify with, fetched where needed. Throws a Refusal `keys_unavailable`. */
  current(context: CallContext): Promise<KeySet>;
  /** Newer keys than `seen`, after a key was missing; null where another look is not due. */
  lookAgain(seen: KeySet, context: CallContext): Promise<KeySet | null>;
  /** Stops what is under way and forgets the keys. */
  close(): void;
}

/** Keys from the configuration: they change when it does. */
export function inlineKeys(set: KeySet): KeySource {
  let keys: KeySet | null = set;
  const current = async (): Promise<KeySet> => keys ?? { keys: [], authorities: [] };
  return {
    held: () => keys,
    fresh: () => keys,
    current,
    lookAgain: async () => null,
    close: () => {
      keys = null;
    },
  };
}
