import type { Brand } from "./brand.ts";

/** Milliseconds since the Unix epoch, from an injected clock or from the ledger's `now()`. */
export type InstantMs = Brand<number, "InstantMs">;
export type DurationSeconds = Brand<number, "DurationSeconds">;

export const instantMs = (ms: number): InstantMs => ms as InstantMs;
export const durationSeconds = (seconds: number): DurationSeconds => seconds as DurationSeconds;
export const plusSeconds = (at: InstantMs, seconds: number): InstantMs =>
  instantMs(at + seconds * 1000);
export const earliest = (first: InstantMs, ...rest: readonly InstantMs[]): InstantMs =>
  instantMs(Math.min(first, ...rest));

/**
 * All time that the code sees. Production has one adapter of it, tests and the simulator others.
 *
 * `now` is the wall clock: for token checks and for what is shown. `monotonicMs` never jumps: for
 * deadlines within a process. What is due, idle or claimed is decided by the ledger's clock alone.
 */
export interface Clock {
  now(): InstantMs;
  monotonicMs(): number;
  /**
   * Resolves at the end of this turn of the event loop, when what has arrived by now was taken in:
   * for work that is done together, without a timer.
   */
  turn(): Promise<void>;
  /** Resolves after `ms`, or rejects with the signal's reason as soon as it is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** All randomness. The bytes are fit for secrets, except where a test or the simulator seeds it. */
export interface Random {
  bytes(count: number): Uint8Array;
}
