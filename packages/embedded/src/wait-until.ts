import { setTimeout as pause } from "node:timers/promises";

export async function pauseFor(milliseconds: number): Promise<void> {
  await pause(milliseconds);
}

export interface Patience {
  /** Give up after so long. */
  readonly deadlineMs: number;
  /** Look this often. */
  readonly everyMs: number;
}

/**
 * Looks until `look` answers something other than `undefined`; answers `undefined` when the
 * deadline has passed. Looks at least once. This file and nothing else here waits on time.
 */
export async function waitUntil<T>(
  look: () => Promise<T | undefined>,
  patience: Patience,
): Promise<T | undefined> {
  const startedAt = performance.now();
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    if (performance.now() - startedAt >= patience.deadlineMs) return undefined;
    await pause(patience.everyMs);
  }
}

/** Whether `event` settles within `deadlineMs`. A rejection of `event` is passed on. */
export async function settlesWithin(event: Promise<unknown>, deadlineMs: number): Promise<boolean> {
  const abandoned = new AbortController();
  const late = pause(deadlineMs, false, { signal: abandoned.signal }).catch(() => false);
  try {
    return await Promise.race([event.then(() => true), late]);
  } finally {
    abandoned.abort();
  }
}
