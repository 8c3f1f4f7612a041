import type { CallContext, Clock } from "@mayfly/spec";

/** When a call is given up: at an instant of the monotonic clock, or by its caller. */
export interface Deadline {
  readonly signal: AbortSignal;
  readonly byMs: number;
}

/** The caller's signal, and a bound of our own, so that no call lasts for ever. */
export const deadlineIn = (context: CallContext, ms: number): Deadline => ({
  signal: context.signal,
  byMs: context.clock.monotonicMs() + ms,
});

export const leftMs = (deadline: Deadline, clock: Clock): number =>
  deadline.byMs - clock.monotonicMs();

/** What `work` comes to, or a rejection at the deadline, whatever becomes of `work`. */
export async function within<T>(work: Promise<T>, deadline: Deadline, clock: Clock): Promise<T> {
  const settled = new AbortController();
  const giveUp = clock
    .sleep(Math.max(0, leftMs(deadline, clock)), AbortSignal.any([deadline.signal, settled.signal]))
    .then((): never => {
      throw new Error("no answer in time");
    });
  // Whichever loses the race has nobody left to tell.
  giveUp.catch(() => undefined);
  work.catch(() => undefined);
  try {
    return await Promise.race([work, giveUp]);
  } finally {
    settled.abort();
  }
}
