import {
  plusSeconds,
  type BackendId,
  type BackendKeyStores,
  type SigningKeyStore,
  type StoredSigningKey,
} from "@mayfly/spec";
import { retiredKeys } from "../retired-keys.ts";
import { append, type MemoryStore } from "./store.ts";

const DAY_MS = 86_400_000;

export function createBackendKeyStores(store: MemoryStore): BackendKeyStores {
  const stores = new Map<BackendId, SigningKeyStore>();
  return {
    of: (backendId) => {
      const known = stores.get(backendId) ?? createSigningKeys(store);
      stores.set(backendId, known);
      return known;
    },
  };
}

export function createSigningKeys(store: MemoryStore): SigningKeyStore {
  /** Newest first. */
  let keys: readonly StoredSigningKey[] = [];
  const { gate, clock } = store;
  const newestKid = (): string | null =>
    keys.find(({ verifiesUntilAt }) => verifiesUntilAt === null)?.kid ?? null;
  return {
    list: () =>
      gate.run("list", () =>
        keys.filter(
          ({ verifiesUntilAt }) =>
            verifiesUntilAt === null || clock.now() - verifiesUntilAt < DAY_MS,
        ),
      ),
    add: (key, expectedNewestKid, oldVerifyFor) =>
      gate.run("add", () => {
        if (newestKid() !== expectedNewestKid) return false;
        const until = plusSeconds(key.signsFromAt, oldVerifyFor);
        const before = keys.find(({ kid }) => kid === expectedNewestKid);
        const older = keys.map((each) => ({
          ...each,
          verifiesUntilAt: each.verifiesUntilAt ?? until,
        }));
        keys = [key, ...older];
        const actor = { kind: "system", name: "broker" } as const;
        append(store, { kind: "signing_key.created", actor, data: { kid: key.kid } });
        if (before !== undefined) {
          append(store, { kind: "signing_key.retired", actor, data: { kid: before.kid } });
        }
        return true;
      }),
    retire: (kid, replacement, expectedNewestKid, oldVerifyFor, actor) =>
      gate.run("retire", () => {
        if (newestKid() !== expectedNewestKid) return false;
        keys = [replacement, ...retiredKeys(keys, kid, replacement, oldVerifyFor)];
        append(store, { kind: "signing_key.retired", actor, data: { kid } });
        append(store, { kind: "signing_key.created", actor, data: { kid: replacement.kid } });
        return true;
      }),
  };
}
