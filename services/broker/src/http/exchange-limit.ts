import type { Clock } from "@mayfly/spec";
import { createPace } from "./exchange-pace.ts";
import { createCrowd } from "./refused-crowd.ts";

/** Exchanges under way at once: what comes during a pause waits up to there. */
export const EXCHANGES_MAX = 320;
/** A burst of so many waits: who is let in when an overload begins waits longest under it. */
export const BURST_MAX = 224;
/** So many are under way even when each of them is late. */
export const EXCHANGES_MIN = 16;
/** One of so many waits, however slowly it is worked off; */
export const BURST_MIN = 96;
/** and a larger one where so long is enough for it, at the pace that was seen last. */
export const WAIT_MS_MAX = 400;
/** Where even the usual latency is long, a wait of so many times that; */
const WAIT_OF_USUAL = 4;
/** but of no more than that. */
const LONG_WAIT_MS_MAX = 3000;
/** None ended for so long: a pause, of this process or of the ledger. It says nothing of load. */
const PAUSE_MS = 200;
/** What piled up in a pause has as long again to be worked off, and so long at most. */
const AFTER_PAUSE_MS_MAX = 1000;
/** Under overload their mean latency is kept below so many times that of quieter times, */
const TOLERANCE = 2;
/** or, where that is more, below so many times that of {@link EXCHANGES_MIN} at once. */
const TOLERANCE_OF_LEAST = 1.5;
/** Latencies are judged by this long at least, and so many; in a second at the latest. */
const WINDOW_MS_MIN = 100;
const WINDOW_SAMPLES_MIN = 10;
const WINDOW_MS_MAX = 1000;
/** What one window leaves of a limit under which they were too late. */
const CUT = { most: 0.7, least: 0.9 } as const;
/** What one window adds to a limit under which they were not. */
const GROWTH = 1.1;
/** The usual latency follows a lower one by half, a higher one as slowly as this. */
const RISE_MS = 20_000;

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
 * Who finds no place is refused, which by itself is no overload: requests come in lumps too. It is
 * one when it lasts ({@link createCrowd}). Then a queue gives nobody more and makes everybody late,
 * so the limit falls to what keeps latency near the usual: it follows the mean latency of each
 * window, down and up by a share of itself. When hardly anybody is refused any more the overload is
 * over, whatever the limit has come to: it may be the limit alone that refuses.
 *
 * What is usual is not learnt under overload, or its own queue would become the measure. But where
 * even {@link EXCHANGES_MIN} at once are late, the backend may have become slower: then their
 * latency is the measure.
 */
export function createExchangeLimit({ monotonicMs }: Pick<Clock, "monotonicMs">): ExchangeLimit {
  return new FollowingLimit(monotonicMs);
}

class FollowingLimit implements ExchangeLimit {
  readonly #monotonicMs: () => number;
  readonly #crowd = createCrowd();
  readonly #pace = createPace(PAUSE_MS);
  #underWay = 0;
  /** Mean latency without overload; null before anything was answered. */
  #usualMs: number | null = null;
  /** Null: no overload. */
  #overload: Overload | null = null;
  /** Since when nobody was answered though somebody waited. */
  #stillMs: number;
  /** Until then a full house is that of a pause. */
  #pausedUntilMs: number;
  #window: Window;

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
    const now = monotonicMs();
    this.#stillMs = now;
    this.#pausedUntilMs = now;
    this.#window = openWindow(now);
  }

  limit(now = this.#monotonicMs()): number {
    if (this.#overload !== null) return Math.floor(this.#overload.limit);
    return this.#isPaused(now) ? EXCHANGES_MAX : Math.floor(burst(this.#knownAt(now)));
  }

  refuses(): boolean {
    const now = this.#monotonicMs();
    this.#lookAt(now);
    if (this.#underWay < this.limit(now)) return false;
    // In a pause it says nothing of load.
    if (this.#overload !== null || !this.#isPaused(now)) this.#crowd.refused(now);
    return true;
  }

  begin(): () => void {
    const beganMs = this.#monotonicMs();
    if (this.#underWay === 0) this.#stillMs = beganMs;
    this.#underWay += 1;
    this.#crowd.taken();
    return () => this.#ended(beganMs);
  }

  #knownAt(now: number): Known {
    return { usualMs: this.#usualMs, perMs: this.#pace.perMs(now) };
  }

  #isPaused(now: number): boolean {
    return now < this.#pausedUntilMs || (this.#underWay > 0 && now - this.#stillMs >= PAUSE_MS);
  }

  #ended(beganMs: number): void {
    const now = this.#monotonicMs();
    this.#underWay -= 1;
    const still = now - this.#stillMs;
    if (still >= PAUSE_MS) this.#pausedUntilMs = now + Math.min(still, AFTER_PAUSE_MS_MAX);
    this.#stillMs = now;
    this.#crowd.ended();
    this.#pace.ended(now, this.#underWay);
    // Those of the queue before the limit was cut say nothing of the limit since.
    if (this.#overload === null || beganMs > this.#overload.sinceMs)
      sample(this.#window, now - beganMs);
    this.#lookAt(now);
  }

  #lookAt(now: number): void {
    const isOverloaded = this.#crowd.isOverload(now);
    if (!isOverloaded) this.#overload = null;
    else if (this.#overload === null) {
      this.#overload = { limit: firstLimit(this.#knownAt(now)), leastMs: null, sinceMs: now };
      this.#window = openWindow(now);
    }
    const seen = this.#window;
    const lasted = now - seen.fromMs;
    const isFull = lasted >= WINDOW_MS_MIN && seen.samples >= WINDOW_SAMPLES_MIN;
    if (!isFull && lasted < WINDOW_MS_MAX) return;
    this.#window = openWindow(now);
    if (seen.samples === 0) return;
    if (this.#overload === null) {
      this.#usualMs = followed(this.#usualMs, meanOf(seen), lasted / RISE_MS);
    } else {
      this.#overload = adjusted(this.#overload, { usualMs: this.#usualMs, seen, now });
    }
  }
}

/** What was seen of the server behind. */
interface Known {
  readonly usualMs: number | null;
  readonly perMs: number | null;
}

interface Overload {
  readonly limit: number;
  /** Mean latency with {@link EXCHANGES_MIN} at once, as soon as it came to that. */
  readonly leastMs: number | null;
  /** When the limit was cut last. */
  readonly sinceMs: number;
}

interface Window {
  readonly fromMs: number;
  samples: number;
  sumMs: number;
}
const openWindow = (fromMs: number): Window => ({ fromMs, samples: 0, sumMs: 0 });

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
