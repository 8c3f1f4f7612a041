import { vi } from "vitest";

/** Below the time that a unit test has, so that what was waited for is told. */
const PATIENCE_MS = 15_000;
const EVERY_MS = 10;

/**
 * Looks until nothing is thrown. Vitest's own patience is a second, which on a busy machine has
 * passed before a socket that was closed is known to be.
 */
export const eventually = <T>(look: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(look, { timeout: PATIENCE_MS, interval: EVERY_MS });
