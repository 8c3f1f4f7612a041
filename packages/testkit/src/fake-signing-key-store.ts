import { plusSeconds, type SigningKeyStore, type StoredSigningKey } from "@mayfly/spec";
import { retiredKeys } from "./retired-keys.ts";

export interface FakeSigningKeyStore extends SigningKeyStore {
  /** Calls of `list` so far. */
  readonly lists: number;
  /** Calls of `add` so far, won or lost. */
  readonly adds: number;
}

/** Signing keys in memory, shared by the "processes" of a test; each call takes a turn. */
export function createFakeSigningKeyStore(): FakeSigningKeyStore {
  let keys: readonly StoredSigningKey[] = [];
  let lists = 0;
  let adds = 0;
  return {
    list: async () => {
      lists++;
      return keys.toReversed();
    },
    add: async (key, expectedNewestKid, oldVerifyFor) => {
      adds++;
      const newest = keys.find(({ verifiesUntilAt }) => verifiesUntilAt === null);
      if ((newest?.kid ?? null) !== expectedNewestKid) return false;
      const until = plusSeconds(key.signsFromAt, oldVerifyFor);
      keys = [
        ...keys.map((old) => ({ ...old, verifiesUntilAt: old.verifiesUntilAt ?? until })),
        key,
      ];
      return true;
    },
    retire: async (kid, replacement, expectedNewestKid, oldVerifyFor) => {
      const newest = keys.find(({ verifiesUntilAt }) => verifiesUntilAt === null);
      if ((newest?.kid ?? null) !== expectedNewestKid) return false;
      keys = [...retiredKeys(keys, kid, replacement, oldVerifyFor), replacement];
      return true;
    },
    get lists() {
      return lists;
    },
    get adds() {
      return adds;
    },
  };
}
