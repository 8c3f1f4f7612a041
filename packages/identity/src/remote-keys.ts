import type { CallContext, Log } from "@mayfly/spec";
import { backedOffFlight } from "./backed-off-flight.ts";
import type { KeySource } from "./key-source.ts";
import type { KeySet } from "./parse-jwk-set.ts";
import { Refusal } from "./refusal.ts";

export interface FetchedKeys {
  readonly keys: KeySet;
  /** How long its publisher says that it is good, or null. */
  readonly maxAgeSeconds: number | null;
}

export interface RemoteKeysOptions {
  /** One look at the publisher; bounded in time by itself. */
  readonly fetch: (context: CallContext) => Promise<FetchedKeys>;
  readonly ageSecondsMin: number;
  readonly ageSecondsDefault: number;
  /** How long after their age the keys are still used while the publisher fails. */
  readonly staleSecondsMax: number;
  readonly log: Log;
}

const AGE_SECONDS_MAX = 86_400;
/** A flood of unknown key ids makes one fetch in this time: a negative cache, of size one. */
const LOOK_AGAIN_SECONDS = 30;

/**
 * Of one publisher: a third of the least burst of exchanges that is let wait, so that one which
 * hangs takes no place from other publishers' workloads. Whoever comes beyond that is judged by the
 * keys that are there; where none are, refused once the fetch is slow.
 */
const WAITING_MAX = 32;
/** A fetch that takes longer hangs; before that, all of a burst wait for the first keys. */
const SLOW_MS = 1_000;

interface Held {
  readonly keys: KeySet;
  readonly freshUntilMs: number;
  readonly usableUntilMs: number;
}

/**
 * Cache of one publisher's keys: refreshed by age, once more for an unknown key, with a back-off of
 * its own after failures and one fetch under way at most. All times are monotonic.
 */
export function createRemoteKeys(options: RemoteKeysOptions): KeySource {
  const stop = new AbortController();
  let held: Held | null = null;
  let lookAgainNotBeforeMs = Number.NEGATIVE_INFINITY;
  /** When the fetch that is under way began. */
  let lookedAtMs = 0;

  const look = backedOffFlight(
    async (context): Promise<KeySet> => {
      if (stop.signal.aborted) throw new Refusal("withdrawn", "the trust root was removed");
      // Callers share this fetch, so that no caller's cancellation may end it.
      const fetched = await options.fetch({ ...context, signal: stop.signal });
      if (stop.signal.aborted) throw new Refusal("withdrawn", "the trust root was removed");
      held = holdFrom(fetched, context.clock.monotonicMs(), options);
      return held.keys;
    },
    (failures, error) => {
      if (stop.signal.aborted) return;
      options.log.warn("keys of a trust root could not be fetched", { failures }, error);
    },
  );

  const fresh = (context: CallContext): KeySet | null =>
    held !== null && context.clock.monotonicMs() < held.freshUntilMs ? held.keys : null;

  const isCrowded = (): boolean => look.waiting >= WAITING_MAX;

  return {
    held: () => held?.keys ?? null,
    fresh,
    current: async (context) => {
      const keys = fresh(context) ?? (isCrowded() ? usableOf(held, context) : null);
      if (keys !== null) return keys;
      const nowMs = context.clock.monotonicMs();
      if (!look.underWay) lookedAtMs = nowMs;
      if (isCrowded() && nowMs - lookedAtMs >= SLOW_MS) {
        throw new Refusal("keys_unavailable", "many wait for the keys already");
      }
      try {
        return await look.run(context);
      } catch (error) {
        const usable = usableOf(held, context);
        if (usable !== null) return usable;
        throw asUnavailable(error);
      }
    },
    lookAgain: async (seen, context) => {
      if (held !== null && held.keys !== seen) return held.keys;
      if (isCrowded()) return null;
      const nowMs = context.clock.monotonicMs();
      if (!look.underWay) {
        if (nowMs < lookAgainNotBeforeMs) return null;
        lookedAtMs = nowMs;
        lookAgainNotBeforeMs = nowMs + LOOK_AGAIN_SECONDS * 1000;
      }
      try {
        return await look.run(context);
      } catch {
        return null;
      }
    },
    close: () => {
      held = null;
      stop.abort(new Refusal("withdrawn", "the trust root was removed"));
    },
  };
}

/** However old, as long as the publisher may fail. */
const usableOf = (held: Held | null, { clock }: CallContext): KeySet | null =>
  held !== null && clock.monotonicMs() < held.usableUntilMs ? held.keys : null;

function holdFrom(fetched: FetchedKeys, nowMs: number, options: RemoteKeysOptions): Held {
  const asked = fetched.maxAgeSeconds ?? options.ageSecondsDefault;
  const ageSeconds = Math.min(AGE_SECONDS_MAX, Math.max(options.ageSecondsMin, asked));
  const freshUntilMs = nowMs + ageSeconds * 1000;
  return {
    keys: fetched.keys,
    freshUntilMs,
    usableUntilMs: freshUntilMs + options.staleSecondsMax * 1000,
  };
}

function asUnavailable(error: unknown): Refusal {
  return error instanceof Refusal
    ? error
    : new Refusal("keys_unavailable", "the keys could not be fetched", { cause: error });
}
