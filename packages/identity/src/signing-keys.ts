import { createPrivateKey, createPublicKey, sign, type KeyObject } from "node:crypto";
import {
  BACKEND_KEY_ALGORITHMS,
  BrokerError,
  durationSeconds,
  NotKnownYet,
  plusSeconds,
  type AuthorityKey,
  type BackendKeyAlgorithm,
  type Secret,
  type Clock,
  type InstantMs,
  type JsonObject,
  type SigningKeyStore,
  type StoredSigningKey,
} from "@mayfly/spec";
import { makeSigningKey, type KeyMaking } from "./make-signing-key.ts";
import type { TaskTokensSettings } from "./task-tokens-settings.ts";

/** A key that was retired because it leaked is trusted by no broker for longer than this. */
export const RELOAD_SECONDS = 5;
/** How often a key that nobody has may have the ledger asked out of turn. */
const LOOK_SECONDS = 1;
const RACES_MAX = 4;

export interface SigningKeysOptions extends KeyMaking {
  readonly store: SigningKeyStore;
  readonly clock: Clock;
  readonly settings: TaskTokensSettings;
}

export interface SigningKeys {
  signer(now: InstantMs): Promise<KeyOf>;
  /** Null: no such key, or it verifies no more. */
  verifier(kid: string, now: InstantMs): Promise<KeyOf | null>;
  /**
   * Any that is stored, also one that verifies no more; null: there is none, as of this question.
   * Throws {@link NotKnownYet} where that is not known.
   */
  stored(kid: string): Promise<StoredKey | null>;
  /** Throws `ledger_unavailable` where they were not to be read for too long. */
  published(): Promise<readonly JsonObject[]>;
  /** All that verify, oldest first. */
  authorities(now: InstantMs): Promise<readonly AuthorityKey[]>;
  rotate(now: InstantMs, algorithm?: BackendKeyAlgorithm): Promise<void>;
}
export interface KeyOf {
  readonly kid: string;
  readonly algorithm: BackendKeyAlgorithm;
  readonly key: KeyObject;
}

export interface StoredKey extends KeyOf {
  /** Null while it is the newest. */
  readonly verifiesUntilAt: InstantMs | null;
}

interface Loaded {
  readonly keys: readonly StoredSigningKey[];
  readonly atMs: number;
}

interface KeyCache {
  keys(): readonly StoredSigningKey[];
  reload(): Promise<void>;
  reloadIfOld(): Promise<void>;
  isOld(): boolean;
  ageMs(): number;
  /** Whether the keys are as of the question; they are read for it at most once a second. */
  lookAsOf(askedMs: number): Promise<boolean>;
}

/** Cache of the stored keys, re-read by age: at most every few seconds, whoever asks for what. */
function cacheKeys(
  { store, clock }: SigningKeysOptions,
  changed: (keys: readonly StoredSigningKey[]) => void,
): KeyCache {
  let loaded: Loaded = { keys: [], atMs: Number.NEGATIVE_INFINITY };
  let underWay: Promise<void> | null = null;
  let lookedMs = Number.NEGATIVE_INFINITY;
  const reload = (): Promise<void> => {
    underWay ??= (async () => {
      // As of the question: what was retired while the ledger took its time is not in the answer.
      const atMs = clock.monotonicMs();
      const keys = (await store.list()).toSorted((a, b) => a.signsFromAt - b.signsFromAt);
      loaded = { keys, atMs };
      changed(keys);
    })().finally(() => {
      underWay = null;
    });
    return underWay;
  };
  const ageMs = (): number => clock.monotonicMs() - loaded.atMs;
  const isOld = (): boolean => ageMs() >= RELOAD_SECONDS * 1000;
  return {
    keys: () => loaded.keys,
    reload,
    isOld,
    ageMs,
    // Twice: the first one may be somebody else's, and have begun long ago.
    reloadIfOld: async () => {
      if (isOld()) await reload();
      if (isOld()) await reload();
    },
    lookAsOf: async (askedMs) => {
      if (loaded.atMs < askedMs && askedMs - lookedMs >= LOOK_SECONDS * 1000) {
        lookedMs = askedMs;
        await reload();
        if (loaded.atMs < askedMs) await reload();
      }
      return loaded.atMs >= askedMs;
    },
  };
}

export function createSigningKeys(options: SigningKeysOptions): SigningKeys {
  const opened = new Map<string, KeyObject>();
  const publicKeys = new Map<string, KeyObject>();
  const cache = cacheKeys(options, (keys) => {
    forgetOthers(opened, keys);
    forgetOthers(publicKeys, keys);
  });

  const open = async (key: StoredSigningKey): Promise<KeyObject> => {
    const known = opened.get(key.kid);
    if (known !== undefined) return known;
    const text = await options.sealer.open(key.sealedPrivateJwk, options.binding(key.kid));
    const privateKey = importPrivate(text);
    opened.set(key.kid, privateKey);
    return privateKey;
  };

  const publicOf = ({ kid, publicJwk }: StoredSigningKey): KeyObject => {
    const key = publicKeys.get(kid) ?? importPublic(publicJwk);
    publicKeys.set(kid, key);
    return key;
  };

  return {
    signer: async (now) => {
      await cache.reloadIfOld();
      const usable = cache.keys().filter((key) => key.signsFromAt <= now && verifies(key, now));
      const newest = usable.at(-1);
      if (newest === undefined) throw new Error("there is no signing key: rotate() has not run");
      return { kid: newest.kid, algorithm: algorithmOf(newest), key: await open(newest) };
    },
    verifier: async (kid, now) => {
      await cache.reloadIfOld();
      if (cache.isOld()) throw tooSlow();
      const key = cache.keys().find((each) => each.kid === kid);
      if (key === undefined || !verifies(key, now)) return null;
      return { kid, algorithm: algorithmOf(key), key: publicOf(key) };
    },
    stored: async (kid) => {
      const askedMs = options.clock.monotonicMs();
      await cache.reloadIfOld();
      const find = () => cache.keys().find((each) => each.kid === kid);
      if (find() === undefined && !(await cache.lookAsOf(askedMs))) throw notKnown();
      const key = find();
      if (key === undefined) return null;
      const { verifiesUntilAt } = key;
      return { kid, algorithm: algorithmOf(key), key: publicOf(key), verifiesUntilAt };
    },
    authorities: async (now) => {
      await cache.reloadIfOld();
      if (cache.isOld()) throw tooSlow();
      const trusted = cache.keys().filter((key) => verifies(key, now));
      return trusted.map((key) => authorityOf(key, open));
    },
    published: async () => {
      await cache.reloadIfOld().catch(() => undefined);
      // A ledger that is away takes no key from those who verify elsewhere while what it signed may
      // live; and one that was retired meanwhile is not published on for ever.
      if (cache.ageMs() > options.settings.tokenSecondsMax * 1000) throw tooStale();
      const now = options.clock.now();
      return cache
        .keys()
        .filter((key) => verifies(key, now))
        .map(({ publicJwk }) => publicJwk);
    },
    rotate: (now, algorithm = DEFAULT_ALGORITHM) => rotate(options, cache, now, algorithm),
  };
}

async function rotate(
  options: SigningKeysOptions,
  cache: KeyCache,
  now: InstantMs,
  algorithm: BackendKeyAlgorithm,
): Promise<void> {
  // Whoever loses the race to add a key reads again, and mostly finds nothing left to do.
  for (let races = 0; races < RACES_MAX; races++) {
    await cache.reload();
    const newest = newestOf(cache.keys());
    const isDue = newest === null || now >= nextKeyDueAt(newest, options.settings);
    // One of another algorithm is not waited for, unless it has not begun to sign itself.
    const isOther =
      newest !== null && algorithmOf(newest) !== algorithm && newest.signsFromAt <= now;
    if (!isDue && !isOther) return;
    if (await addKey(options, newest, algorithm, now)) {
      await cache.reload();
      return;
    }
  }
  throw new Error("the signing keys changed each time that a new one was to be added");
}

const authorityOf = (
  stored: StoredSigningKey,
  open: (stored: StoredSigningKey) => Promise<KeyObject>,
): AuthorityKey => {
  const { kid, publicJwk, createdAt, signsFromAt } = stored;
  const algorithm = algorithmOf(stored);
  const digest = algorithm === "EdDSA" ? null : "sha256";
  return {
    kid,
    algorithm,
    publicJwk,
    createdAt,
    signsFromAt,
    sign: async (bytes) => sign(digest, bytes, await open(stored)),
  };
};

const tooSlow = (): BrokerError =>
  new BrokerError("ledger_unavailable", "The ledger answers too slowly to know which keys hold.", {
    retryAfterSeconds: 1,
  });

const notKnown = (): NotKnownYet =>
  new NotKnownYet("Which keys there are was asked for a moment ago.", {
    retryAfterSeconds: LOOK_SECONDS,
  });

const tooStale = (): BrokerError =>
  new BrokerError("ledger_unavailable", "Which keys still hold was not to be read for too long.", {
    retryAfterSeconds: RELOAD_SECONDS,
  });

/** Of task tokens, and of whoever names none: the cheapest to sign. */
const DEFAULT_ALGORITHM: BackendKeyAlgorithm = "ES256";

export const algorithmOf = (key: StoredSigningKey | null): BackendKeyAlgorithm =>
  BACKEND_KEY_ALGORITHMS.find((each) => each === key?.publicJwk["alg"]) ?? DEFAULT_ALGORITHM;

const verifies = (key: StoredSigningKey, now: InstantMs): boolean =>
  key.verifiesUntilAt === null || now < key.verifiesUntilAt;

/** The one that no other follows yet; one that was retired before it signed is not it. */
export const newestOf = (keys: readonly StoredSigningKey[]): StoredSigningKey | null =>
  keys.find(({ verifiesUntilAt }) => verifiesUntilAt === null) ?? null;

/**
 * Once the next one signs, the last token of an old one lives its life; a process with another
 * clock may have signed it a little later, and one with yet another may look a little later.
 */
export const oldVerifySeconds = (settings: TaskTokensSettings): number =>
  settings.tokenSecondsMax + 2 * settings.skewSeconds;

const nextKeyDueAt = (newest: StoredSigningKey, settings: TaskTokensSettings): InstantMs =>
  plusSeconds(newest.signsFromAt, settings.keySignsSeconds - settings.publishAheadSeconds);

async function addKey(
  options: SigningKeysOptions,
  newest: StoredSigningKey | null,
  algorithm: BackendKeyAlgorithm,
  now: InstantMs,
): Promise<boolean> {
  const { store, settings } = options;
  // The very first has nobody's cache to wait for.
  const from = newest === null ? now : plusSeconds(now, settings.publishAheadSeconds);
  const key = await makeSigningKey(options, algorithm, now, from);
  return store.add(key, newest?.kid ?? null, durationSeconds(oldVerifySeconds(settings)));
}

function forgetOthers(cache: Map<string, unknown>, keys: readonly StoredSigningKey[]): void {
  const kids = new Set(keys.map(({ kid }) => kid));
  for (const kid of cache.keys()) if (!kids.has(kid)) cache.delete(kid);
}

function importPrivate(text: Secret): KeyObject {
  try {
    const jwk: unknown = JSON.parse(text.expose("crypto"));
    return createPrivateKey({ key: membersOf(jwk, PRIVATE_MEMBERS), format: "jwk" });
  } catch {
    // A parser's message would quote the key.
    throw new Error("a stored signing key cannot be read");
  }
}

function importPublic(jwk: JsonObject): KeyObject {
  return createPublicKey({ key: membersOf(jwk, PUBLIC_MEMBERS), format: "jwk" });
}

/** RFC 7518 section 6, RFC 8037 section 2: of any of the key types, no more than there are. */
const PUBLIC_MEMBERS = ["kty", "crv", "x", "y", "n", "e"] as const;
const PRIVATE_MEMBERS = [...PUBLIC_MEMBERS, "d", "p", "q", "dp", "dq", "qi"] as const;

function membersOf(jwk: unknown, names: readonly string[]): Record<string, string> {
  const members: Record<string, unknown> = { ...(typeof jwk === "object" ? jwk : {}) };
  const known = names.filter((name) => Object.hasOwn(members, name));
  return Object.fromEntries(known.map((name) => [name, String(members[name])]));
}
