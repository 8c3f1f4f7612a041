import type { AuthorityDocument, Clock } from "@mayfly/spec";

/** So many questions of strangers are answered by one reading and one signature. */
const FRESH_MS = 1_000;
/** What takes long to make is kept for longer: strangers have a tenth of our time at most. */
const TIMES_ITS_MAKING = 10;
const FRESH_MS_MAX = 10_000;
/** Those of every key of an authority, and what is of none. */
const NAMES_MAX = 64;

interface Kept<T> {
  readonly document: Promise<T | null>;
  /** Null: it is being made, and whoever asks has that one. */
  untilMs: number | null;
}

/**
 * The documents of an authority, each made at most once a second, and once in ten times what it
 * takes but for `freshMsMax`, whoever asks.
 */
export function keptDocuments<T = AuthorityDocument>(
  clock: Clock,
  make: (name: string) => Promise<T | null>,
  freshMsMax = FRESH_MS_MAX,
): (name: string) => Promise<T | null> {
  const kept = new Map<string, Kept<T>>();
  return async (name) => {
    const atMs = clock.monotonicMs();
    const known = kept.get(name);
    if (known !== undefined && (known.untilMs === null || atMs < known.untilMs)) {
      return known.document;
    }
    const made: Kept<T> = { document: make(name), untilMs: null };
    const forget = (): void => {
      if (kept.get(name) === made) kept.delete(name);
    };
    kept.delete(name);
    kept.set(name, made);
    if (kept.size > NAMES_MAX) kept.delete(kept.keys().next().value ?? name);
    try {
      const document = await made.document;
      const tookMs = clock.monotonicMs() - atMs;
      const freshMs = Math.max(FRESH_MS, Math.min(TIMES_ITS_MAKING * tookMs, freshMsMax));
      made.untilMs = atMs + freshMs;
      // What there is not could be asked for by any name.
      if (document === null) forget();
      return document;
    } catch (error) {
      forget();
      throw error;
    }
  };
}
