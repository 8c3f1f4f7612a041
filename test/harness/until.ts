import { setTimeout as sleep } from "node:timers/promises";

const EVERY_MS = 25;

/** Looks until `look` answers neither undefined nor false; throws, with what it waited for. */
export async function until<T>(
  what: string,
  withinMs: number,
  look: () => Promise<T | undefined | false>,
): Promise<T> {
  const from = performance.now();
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    if (performance.now() - from > withinMs) {
      throw new Error(`waited ${withinMs} ms in vain for ${what}`);
    }
    await sleep(EVERY_MS);
  }
}

export async function pause(ms: number): Promise<void> {
  await sleep(ms);
}
