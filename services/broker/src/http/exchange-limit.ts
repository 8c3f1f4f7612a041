import type { Clock } from "@mayfly/spec";

/** Exchanges under way at once, whatever their latency: bursts up to there wait. */
export const EXCHANGES_MAX = 192;
/** So many are under way even when each of them is late. */
export const EXCHANGES_MIN = 16;
/** Under overload their mean latency is kept below so many times that of quieter times, */
const TOLERANCE = 2;
/** or, where that is more, below so many times that of {@link EXCHANGES_MIN} at once. */
const TOLERANCE_OF_LEAST = 1.5;
/** Nothing refused for so long: the overload is over. */
const OVER_AFTER_MS = 500;
/** Latencies are judged by this long at least, and so many; in a second at the latest. */
const WINDOW_MS_MIN = 100;
const WINDOW_SAMPLES_MIN = 10;
const WINDOW_MS_MAX = 1000;
/** What one window leaves of a limit under which they were too late. */
const CUT = { most: 0.7, least: 0.9 } as const;
/** The usual latency follows a lower one by half, a higher one as slowly as this. */
const RISE_MS = 60_000;

export interface ExchangeLimit {
  /** Whether one more would be refused now. A yes is a refusal, and remembered as one. */
  refuses(): boolean;
  /** Begins one; the answer is called at its end. */
  begin(): () => void;
  /** How many may be under way now. */
  limit(): number;
}

/**
 * How many exchanges may be under way. While all that come are taken, up to {@link EXCHANGES_MAX}:
 * who shares a batch waits a little longer, and that is cheaper than to come again. From the first
 * refusal until none was needed for a while there is overload: then a queue gives nobody more and
 * makes everybody late, so the limit falls to what keeps latency near the usual. It is additive
 * increase and multiplicative decrease, by the mean latency of a window against that of quieter
 * times.
 *
 * What is usual is not learnt under overload, or its own queue would become the measure. But where
 * even {@link EXCHANGES_MIN} at once are late, the backend may have become slower: then their
 * latency is the measure.
 */
export function createExchangeLimit({ monotonicMs }: Pick<Clock, "monotonicMs">): ExchangeLimit {
  let underWay = 0;
  let usualMs: number | null = null;
  /** Null: no overload. */
  let overload: Overload | null = null;
  let window = openWindow(monotonicMs());
  const limit = (): number => Math.floor(overload?.limit ?? EXCHANGES_MAX);

  const lookAt = (now: number): void => {
    if (overload !== null && now - overload.refusedMs >= OVER_AFTER_MS) overload = null;
    const lasted = now - window.fromMs;
    const isFull = lasted >= WINDOW_MS_MIN && window.samples >= WINDOW_SAMPLES_MIN;
    if (!isFull && lasted < WINDOW_MS_MAX) return;
    if (window.samples > 0) {
      const meanMs = window.sumMs / window.samples;
      if (overload === null) usualMs = followed(usualMs, meanMs, lasted / RISE_MS);
      else overload = adjusted(overload, { usualMs, meanMs, now });
    }
    window = openWindow(now);
  };
  const refuse = (now: number): void => {
    if (overload !== null) {
      overload.refusedMs = now;
      return;
    }
    const limited = firstLimit(usualMs, window, now);
    overload = { limit: limited, leastMs: null, refusedMs: now, sinceMs: now };
    window = openWindow(now);
  };
  return {
    limit,
    refuses: () => {
      const now = monotonicMs();
      lookAt(now);
      if (underWay < limit()) return false;
      refuse(now);
      return true;
    },
    begin: () => {
      const beganMs = monotonicMs();
      underWay += 1;
      return () => {
        underWay -= 1;
        const now = monotonicMs();
        // Those of the queue before the limit was cut say nothing of the limit since.
        if (overload === null || beganMs > overload.sinceMs) {
          window.samples += 1;
          window.sumMs += now - beganMs;
        }
        window.ended += 1;
        lookAt(now);
      };
    },
  };
}

interface Overload {
  readonly limit: number;
  /** Mean latency with {@link EXCHANGES_MIN} at once, as soon as it came to that. */
  readonly leastMs: number | null;
  /** When it was last refused. */
  refusedMs: number;
  /** When the limit was cut last. */
  readonly sinceMs: number;
}

interface Window {
  readonly fromMs: number;
  ended: number;
  samples: number;
  sumMs: number;
}
const openWindow = (fromMs: number): Window => ({ fromMs, ended: 0, samples: 0, sumMs: 0 });

const within = (limit: number): number => Math.min(EXCHANGES_MAX, Math.max(EXCHANGES_MIN, limit));

/** By Little's law: what is under way at the rate of this window with the latency that is borne. */
function firstLimit(usualMs: number | null, window: Window, now: number): number {
  const lasted = Math.max(1, now - window.fromMs);
  if (usualMs === null || window.ended === 0) return within(EXCHANGES_MAX / 4);
  return within(Math.min(EXCHANGES_MAX / 4, (window.ended / lasted) * usualMs * TOLERANCE));
}

interface Judged {
  readonly usualMs: number | null;
  readonly meanMs: number;
  readonly now: number;
}

/** What a window of this mean latency makes of the limit. */
function adjusted(overload: Overload, { usualMs, meanMs, now }: Judged): Overload {
  const { limit } = overload;
  const leastMs = limit <= EXCHANGES_MIN ? followed(overload.leastMs, meanMs, 1) : overload.leastMs;
  const borneMs = Math.max((usualMs ?? meanMs) * TOLERANCE, (leastMs ?? 0) * TOLERANCE_OF_LEAST);
  if (meanMs <= borneMs) return { ...overload, limit: within(limit + 1), leastMs };
  const cut = Math.min(CUT.least, Math.max(CUT.most, borneMs / meanMs));
  return { ...overload, limit: within(limit * cut), leastMs, sinceMs: now };
}

/** By half, upwards no more than by the share `rise`. */
const followed = (knownMs: number | null, meanMs: number, rise: number): number =>
  knownMs === null
    ? meanMs
    : knownMs + (meanMs - knownMs) * (meanMs < knownMs ? 0.5 : Math.min(0.5, rise));
