import { plusSeconds, type SigningKeyStore, type StoredSigningKey } from "@mayfly/spec";
import { append, type MemoryStore } from "./store.ts";

const DAY_MS = 86_400_000;

export function createSigningKeys(store: MemoryStore): SigningKeyStore {
  /** Newest first. */
  let keys: readonly StoredSigningKey[] = [];
  const { gate, clock } = store;
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
        if ((keys[0]?.kid ?? null) !== expectedNewestKid) return false;
        const verifiesUntilAt = plusSeconds(key.signsFromAt, oldVerifyFor);
        const [before, ...older] = keys;
        keys = [key, ...(before === undefined ? [] : [{ ...before, verifiesUntilAt }]), ...older];
        const actor = { kind: "system", name: "broker" } as const;
        append(store, { kind: "signing_key.created", actor, data: { kid: key.kid } });
        if (before !== undefined) {
          append(store, { kind: "signing_key.retired", actor, data: { kid: before.kid } });
        }
        return true;
      }),
  };
}
