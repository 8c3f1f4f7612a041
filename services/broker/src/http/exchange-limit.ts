import type { Clock } from "@mayfly/spec";

/** Exchanges under way at once: what comes during a pause waits up to there. */
export const EXCHANGES_MAX = 320;
/** A burst of so many waits: who is let in when an overload begins waits longest under it. */
export const BURST_MAX = 192;
/** So many are under way even when each of them is late. */
export const EXCHANGES_MIN = 16;
/** One of so many waits, however slowly it is worked off; */
export const BURST_MIN = 96;
/** and a larger one where so long is enough for it, at the pace that was seen last. */
export const WAIT_MS_MAX = 300;
/** Where even the usual latency is long, a wait of so many times that; */
const WAIT_OF_USUAL = 4;
/** but of no more than that. */
const LONG_WAIT_MS_MAX = 3000;
/** With fewer under way throughout a window, its pace is not the most that can be done. */
const PACE_UNDER_WAY_MIN = 48;
/** A pace that no queue has confirmed for so long is known no more: the backend may be well. */
const PACE_KNOWN_MS = 60_000;
/** None ended for so long: a pause, of this process or of the ledger. It says nothing of load. */
const PAUSE_MS = 200;
/** What piled up in a pause has as long again to be worked off, and so long at most. */
const AFTER_PAUSE_MS_MAX = 1000;
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
/** What one window adds to a limit under which they were not. */
const GROWTH = 1.1;
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
 * How many exchanges may be under way. Without overload all that come are taken, up to a burst: who
 * shares a batch waits a little longer, and that is cheaper than to come again. A burst is
 * {@link BURST_MAX}, or what is worked off in {@link WAIT_MS_MAX} at the pace that was seen under a
 * queue. While nobody is answered though somebody waits, and for as long again, there are
 * {@link EXCHANGES_MAX}: what piles up in a pause is worked off after it.
 *
 * One more than that though others were answered all the while: that is overload. Then a queue
 * gives nobody more and makes everybody late, so the limit falls to what keeps latency near the
 * usual: it follows the mean latency of each window, down and up by a share of itself. When nobody
 * was refused for a while the overload is over.
 *
 * What is usual is not learnt under overload, or its own queue would become the measure. But where
 * even {@link EXCHANGES_MIN} at once are late, the backend may have become slower: then their
 * latency is the measure.
 */
export function createExchangeLimit({ monotonicMs }: Pick<Clock, "monotonicMs">): ExchangeLimit {
  let underWay = 0;
  let known: Known = { usualMs: null, perMs: null, paceMs: 0 };
  /** Null: no overload. */
  let overload: Overload | null = null;
  /** Since when nobody was answered though somebody waited. */
  let stillMs = monotonicMs();
  /** Until then a full house is that of a pause. */
  let pausedUntilMs = stillMs;
  let window = openWindow(stillMs, underWay);
  const limit = (now = monotonicMs()): number => {
    if (overload !== null) return Math.floor(overload.limit);
    const isPaused = underWay > 0 && now - stillMs >= PAUSE_MS;
    return isPaused || now < pausedUntilMs ? EXCHANGES_MAX : Math.floor(burst(known));
  };

  const overloadFrom = (now: number): void => {
    const limited = firstLimit(known);
    overload = { limit: limited, leastMs: null, refusedMs: now, sinceMs: now };
    window = openWindow(now, underWay);
  };
  const lookAt = (now: number): void => {
    if (overload !== null && now - overload.refusedMs >= OVER_AFTER_MS) overload = null;
    if (known.perMs !== null && now - known.paceMs > PACE_KNOWN_MS) {
      known = { ...known, perMs: null };
    }
    const lasted = now - window.fromMs;
    const isFull = lasted >= WINDOW_MS_MIN && window.samples >= WINDOW_SAMPLES_MIN;
    if (!isFull && lasted < WINDOW_MS_MAX) return;
    const seen = window;
    window = openWindow(now, underWay);
    if (seen.samples === 0) return;
    known = learnt(known, seen, { now, isOverloaded: overload !== null });
    if (overload === null) return;
    overload = adjusted(overload, { usualMs: known.usualMs, seen, now });
  };
  return {
    limit: () => limit(),
    refuses: () => {
      const now = monotonicMs();
      lookAt(now);
      if (underWay < limit(now)) return false;
      if (overload !== null) overload.refusedMs = now;
      else if (now - stillMs < PAUSE_MS && now >= pausedUntilMs) overloadFrom(now);
      return true;
    },
    begin: () => {
      const beganMs = monotonicMs();
      if (underWay === 0) stillMs = beganMs;
      underWay += 1;
      return () => {
        const now = monotonicMs();
        underWay -= 1;
        const still = now - stillMs;
        if (still >= PAUSE_MS) pausedUntilMs = now + Math.min(still, AFTER_PAUSE_MS_MAX);
        stillMs = now;
        window.stillMs = Math.max(window.stillMs, still);
        window.underWayLeast = Math.min(window.underWayLeast, underWay);
        window.ended += 1;
        // Those of the queue before the limit was cut say nothing of the limit since.
        if (overload === null || beganMs > overload.sinceMs) sample(window, now - beganMs);
        lookAt(now);
      };
    },
  };
}

/** What was seen of the server behind. */
interface Known {
  /** Its mean latency without overload; null before anything was answered. */
  readonly usualMs: number | null;
  /** How many it answers in a millisecond while many wait; null before many did. */
  readonly perMs: number | null;
  /** When it was seen last. */
  readonly paceMs: number;
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
  /** The longest time in which none ended. */
  stillMs: number;
  underWayLeast: number;
  samples: number;
  sumMs: number;
}
const openWindow = (fromMs: number, underWay: number): Window => ({
  fromMs,
  ended: 0,
  stillMs: 0,
  underWayLeast: underWay,
  samples: 0,
  sumMs: 0,
});

function sample(window: Window, latencyMs: number): void {
  window.samples += 1;
  window.sumMs += latencyMs;
}
const meanOf = ({ sumMs, samples }: Window): number => sumMs / samples;

const within = (limit: number): number => Math.min(EXCHANGES_MAX, Math.max(EXCHANGES_MIN, limit));

const waitMs = ({ usualMs }: Known): number =>
  Math.max(WAIT_MS_MAX, Math.min(LONG_WAIT_MS_MAX, (usualMs ?? 0) * WAIT_OF_USUAL));
const burst = (known: Known): number =>
  known.perMs === null
    ? BURST_MAX
    : Math.min(BURST_MAX, Math.max(BURST_MIN, known.perMs * waitMs(known)));

/** By Little's law: what is under way at the known pace with the latency that is borne. */
const firstLimit = ({ usualMs, perMs }: Known): number =>
  within(
    usualMs === null || perMs === null
      ? BURST_MIN / 2
      : Math.min(BURST_MAX, perMs * usualMs * TOLERANCE),
  );

interface SeenAt {
  readonly now: number;
  readonly isOverloaded: boolean;
}

function learnt(known: Known, seen: Window, { now, isOverloaded }: SeenAt): Known {
  const { usualMs, perMs } = known;
  const lasted = now - seen.fromMs;
  const isPaused = seen.stillMs >= Math.max(PAUSE_MS, lasted / 4);
  const isPace = seen.underWayLeast >= PACE_UNDER_WAY_MIN && !isPaused;
  const pace = seen.ended / lasted;
  return {
    usualMs: isOverloaded ? usualMs : followed(usualMs, meanOf(seen), lasted / RISE_MS),
    perMs: isPace ? (perMs === null ? pace : perMs + (pace - perMs) / 4) : perMs,
    paceMs: isPace ? now : known.paceMs,
  };
}

interface Judged {
  readonly usualMs: number | null;
  readonly seen: Window;
  readonly now: number;
}

/** What a window makes of the limit. */
function adjusted(overload: Overload, { usualMs, seen, now }: Judged): Overload {
  const { limit } = overload;
  const meanMs = meanOf(seen);
  const leastMs = limit <= EXCHANGES_MIN ? followed(overload.leastMs, meanMs, 1) : overload.leastMs;
  const borneMs = Math.max((usualMs ?? meanMs) * TOLERANCE, (leastMs ?? 0) * TOLERANCE_OF_LEAST);
  if (meanMs <= borneMs) return { ...overload, limit: within(limit * GROWTH), leastMs };
  const cut = Math.min(CUT.least, Math.max(CUT.most, borneMs / meanMs));
  return { ...overload, limit: within(limit * cut), leastMs, sinceMs: now };
}

/** By half, upwards no more than by the share `rise`. */
const followed = (knownMs: number | null, meanMs: number, rise: number): number =>
  knownMs === null
    ? meanMs
    : knownMs + (meanMs - knownMs) * (meanMs < knownMs ? 0.5 : Math.min(0.5, rise));
