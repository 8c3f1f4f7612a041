import type { Clock } from "@mayfly/spec";

const EVERY_MS = 10_000;

/** Passes on one complaint in ten seconds: a store that is away complains at every attempt. */
export function seldom(clock: Clock, complain: (error: unknown) => void): (error: unknown) => void {
  let quietUntilMs = Number.NEGATIVE_INFINITY;
  return (error) => {
    const nowMs = clock.monotonicMs();
    if (nowMs < quietUntilMs) return;
    quietUntilMs = nowMs + EVERY_MS;
    complain(error);
  };
}
