import {
  bindingOf,
  BrokerError,
  durationSeconds,
  instantMs,
  plusSeconds,
  type Actor,
  type InstantMs,
  type SigningKeyAdministration,
  type SigningKeyState,
  type StoredSigningKey,
} from "@mayfly/spec";
import { makeSigningKey } from "./make-signing-key.ts";
import {
  algorithmOf,
  newestOf,
  oldVerifySeconds,
  type SigningKeysOptions,
} from "./signing-keys.ts";

const RACES_MAX = 4;

/** What administrators do to the keys of task tokens; the timer's rotation goes on beside it. */
export function createSigningKeyAdministration(
  given: Omit<SigningKeysOptions, "binding"> & Partial<Pick<SigningKeysOptions, "binding">>,
): SigningKeyAdministration {
  const options: SigningKeysOptions = { binding: bindingOf.signingKey, ...given };
  const { store, clock } = options;
  return {
    list: async () => {
      const now = clock.now();
      const keys = await store.list();
      return keys.map((key) => ({
        kid: key.kid,
        state: stateOf(key, keys, now),
        createdAt: key.createdAt,
        signsFromAt: key.signsFromAt,
        verifiesUntilAt: key.verifiesUntilAt,
      }));
    },
    rotate: (actor) => withoutRaces(() => rotateOnce(options, actor)),
    retire: (kid, actor) => withoutRaces(() => retireOnce(options, kid, actor)),
  };
}

async function withoutRaces<T>(attempt: () => Promise<T | null>): Promise<T> {
  for (let races = 0; races < RACES_MAX; races++) {
    const done = await attempt();
    if (done !== null) return done;
  }
  throw new BrokerError("conflict", "The signing keys changed each time; try again.");
}

async function rotateOnce(options: SigningKeysOptions, actor: Actor) {
  const { store, clock, settings } = options;
  const now = clock.now();
  const newest = newestOf(await store.list());
  if (newest !== null && newest.signsFromAt > now) {
    return { kind: "already" as const, kid: newest.kid, signsFromAt: newest.signsFromAt };
  }
  const signsFromAt = newest === null ? now : plusSeconds(now, settings.publishAheadSeconds);
  const key = await makeSigningKey(options, algorithmOf(newest), now, signsFromAt);
  const oldVerifyFor = durationSeconds(oldVerifySeconds(settings));
  const added = await store.add(key, newest?.kid ?? null, oldVerifyFor, actor);
  return added ? { kind: "added" as const, kid: key.kid, signsFromAt } : null;
}

async function retireOnce(options: SigningKeysOptions, kid: string, actor: Actor) {
  const { store, clock, settings } = options;
  const now = clock.now();
  const keys = await store.list();
  const leaked = keys.find((key) => key.kid === kid);
  if (leaked === undefined) {
    throw new BrokerError("not_found", "There is no such signing key.", { where: "kid" });
  }
  const everybodyMs = now - 2 * settings.skewSeconds * 1000;
  // What has just ceased to verify here may be trusted still where a clock is behind.
  if (leaked.verifiesUntilAt !== null && leaked.verifiesUntilAt <= everybodyMs) {
    return { kind: "already" as const, kid, replacedBy: null };
  }
  const signed = keys.filter(({ signsFromAt }) => signsFromAt <= now);
  const latest = Math.max(...signed.map(({ signsFromAt }) => signsFromAt), 0);
  // A broker whose clock is behind has to find that it signs already.
  const signsFromAt = instantMs(Math.max(everybodyMs, latest + 1));
  const newest = newestOf(keys);
  const key = await makeSigningKey(options, algorithmOf(newest), now, signsFromAt);
  const oldVerifyFor = durationSeconds(oldVerifySeconds(settings));
  const retired = await store.retire(kid, key, newest?.kid ?? null, oldVerifyFor, actor);
  return retired ? { kind: "retired" as const, kid, replacedBy: key.kid } : null;
}

function stateOf(
  key: StoredSigningKey,
  keys: readonly StoredSigningKey[],
  now: InstantMs,
): SigningKeyState {
  if (key.verifiesUntilAt !== null && key.verifiesUntilAt <= now) return "retired";
  if (key.signsFromAt > now) return "next";
  const isLater = (other: StoredSigningKey): boolean =>
    other.signsFromAt > key.signsFromAt &&
    other.signsFromAt <= now &&
    (other.verifiesUntilAt === null || other.verifiesUntilAt > now);
  return keys.some(isLater) ? "verifies" : "signs";
}
