import {
  BrokerError,
  type BackendId,
  type Clock,
  type CredentialBackend,
  type IssuingHealth,
  type IssuingHealthReading,
  type JsonObject,
  type RegisteredBackend,
  type Role,
} from "@mayfly/spec";
import type { CoreSettings } from "./settings.ts";

/** Refuses new exposure where what ends it may not be working. Ending never asks it. */
export interface IssuingGate {
  /** Throws `issuing_paused`, with what an operator can look at. */
  check(backend: RegisteredBackend, type: CredentialBackend): Promise<void>;
}

/** Somebody switched it off: that it will work again soon is not to be expected. */
const DISABLED: JsonObject = {
  hint: "An administrator disabled it: ask them. Trying again helps once it is enabled.",
};

/** Throws `issuing_paused` for a role that is disabled. What it has issued ends as ever. */
export function requireRoleEnabled(role: Role): void {
  if (role.enabled) return;
  throw new BrokerError("issuing_paused", `Issuing from ${role.name} is paused: it is disabled.`, {
    where: role.name,
    public: DISABLED,
  });
}

/** No reading counts for longer. */
const CACHE_MS = 1000;
/**
 * From this age on, whoever comes has it read anew and does not wait for that: in a broker that is
 * in use a reading is hardly ever waited for, which all who come meanwhile would do at once.
 */
const AHEAD_MS = 750;
/** A sweep, or a listing, is late when none finished within this many of its intervals. */
const INTERVALS = 2;

interface Cached {
  readonly readAtMs: number;
  readonly reading: Promise<IssuingHealthReading>;
  /** Its successor is under way. */
  isFollowed: boolean;
}

export function createIssuingGate(
  clock: Clock,
  health: IssuingHealth,
  settings: CoreSettings,
): IssuingGate {
  const cache = new Map<BackendId, Cached>();
  const begin = (id: BackendId): Cached => {
    const begun = { readAtMs: clock.monotonicMs(), reading: health.read(id), isFollowed: false };
    begun.reading.catch(() => {
      if (cache.get(id) === begun) cache.delete(id);
    });
    return begun;
  };
  const read = (id: BackendId): Promise<IssuingHealthReading> => {
    const known = cache.get(id);
    const ageMs = known === undefined ? CACHE_MS : clock.monotonicMs() - known.readAtMs;
    if (known === undefined || ageMs >= CACHE_MS) {
      const begun = begin(id);
      cache.set(id, begun);
      return begun.reading;
    }
    if (ageMs >= AHEAD_MS && !known.isFollowed) {
      known.isFollowed = true;
      const next = begin(id);
      next.reading.then(
        () => cache.get(id) === known && cache.set(id, next),
        // Whoever comes when the known one is too old looks for themselves, and hears of it.
        () => undefined,
      );
    }
    return known.reading;
  };
  return {
    check: async (backend, type) => {
      if (!backend.enabled) throw paused(backend.id, "it is disabled", settings, DISABLED);
      const problem = problemOf(backend, type, await read(backend.id), clock, settings);
      if (problem === null) return;
      // What was just repaired is seen at once: a refusal is not kept.
      cache.delete(backend.id);
      throw paused(backend.id, problem, settings);
    },
  };
}

function problemOf(
  backend: RegisteredBackend,
  type: CredentialBackend,
  reading: IssuingHealthReading,
  clock: Clock,
  settings: CoreSettings,
): string | null {
  const sweepSecondsMax = INTERVALS * settings.sweepIntervalSeconds;
  if (reading.sweepAgeSeconds === null) {
    return `no worker has finished a sweep yet: ${sweeps(settings)}`;
  }
  if (reading.sweepAgeSeconds > sweepSecondsMax) {
    const seconds = Math.round(reading.sweepAgeSeconds);
    return `the last sweep finished ${seconds} s ago: ${sweeps(settings)}`;
  }
  if (reading.stuck > settings.stuckMax) return `${reading.stuck} of its leases are stuck`;
  const { canList } = type.capabilities;
  if (!canList && type.looksAfter !== true) return null;
  const listingSecondsMax = INTERVALS * settings.listingIntervalSeconds;
  // One that was registered a moment ago cannot have been listed yet.
  const age = reading.listingAgeSeconds ?? (clock.now() - backend.updatedAt) / 1000;
  if (age <= listingSecondsMax) return null;
  const [what, done] = canList
    ? ["what it holds of ours", "listed"]
    : ["what its leases share there", "looked after"];
  const seen =
    reading.listingAgeSeconds === null
      ? `${what} has never been ${done}`
      : `${what} was last ${done} ${Math.round(age)} s ago`;
  return `${seen}: ${lists(settings)}`;
}

/** The first moments after a start are told from a worker that is missing. */
const sweeps = ({ sweepIntervalSeconds }: CoreSettings): string =>
  `a worker sweeps when it starts and every ${sweepIntervalSeconds} s; if this lasts, none is ` +
  "running or its sweeps fail, which its log says";
const lists = ({ listingIntervalSeconds }: CoreSettings): string =>
  `a worker lists it when it starts and every ${listingIntervalSeconds} s; if this lasts, none is ` +
  "running or the backend does not answer, which its log says";

function paused(
  id: BackendId,
  why: string,
  settings: CoreSettings,
  shown: JsonObject = {},
): BrokerError {
  return new BrokerError("issuing_paused", `Issuing from ${id} is paused: ${why}.`, {
    where: id,
    public: shown,
    retryAfterSeconds: Math.max(1, Math.ceil(settings.sweepIntervalSeconds)),
  });
}
