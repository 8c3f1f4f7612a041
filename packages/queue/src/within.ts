import type { Clock } from "@mayfly/spec";

export class TimedOut extends Error {
  override readonly name = "TimedOut";
  constructor(what: string, ms: number) {
    super(`${what} took longer than ${ms} ms`);
  }
}

/** One for all: an error of its own for each call is dear, and nobody sees it. */
const DONE = new Error("done");

/**
 * What `work` answers, or a rejection with {@link TimedOut} after `ms`, whichever comes first. The
 * signal is aborted in the second case, so that the work can stop before its next step; what was
 * sent by then may still take effect.
 */
export async function within<T>(
  clock: Clock,
  ms: number,
  what: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const done = new AbortController();
  const alarm = clock.sleep(ms, done.signal).then(
    () => {
      const timedOut = new TimedOut(what, ms);
      late.abort(timedOut);
      throw timedOut;
    },
    // The work was in time. This branch loses the race below and is never seen.
    () => new Promise<never>(() => undefined),
  );
  try {
    return await Promise.race([work(late.signal), alarm]);
  } finally {
    done.abort(DONE);
  }
}
