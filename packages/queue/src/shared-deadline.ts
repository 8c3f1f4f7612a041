import type { Clock } from "@mayfly/spec";
import { TimedOut } from "./within.ts";

/** Calls that all have the same time, with one timer for all of them. */
export interface SharedDeadline {
  /**
   * What `work` answers, or a rejection with {@link TimedOut} once its time is over, whichever
   * comes first. `isLate` says so to the work, which can stop before its next step; what was sent
   * by then may still take effect.
   */
  within<T>(what: string, work: (isLate: () => boolean) => Promise<T>): Promise<T>;
  /** Lets go of the timer; calls under way have no deadline from then on. */
  close(): void;
}

interface Call {
  readonly dueMs: number;
  expire(): void;
}

/**
 * As `within`, for the hot path: a timer and two signals for each call cost more than the call.
 * Calls come in the order of their deadlines, so one sleep, until the oldest one's, is enough.
 */
export function createSharedDeadline(clock: Clock, ms: number): SharedDeadline {
  const closed = new AbortController();
  /** In the order in which they began. */
  const underWay = new Set<Call>();
  let isAsleep = false;

  const sleep = (forMs: number): void => {
    isAsleep = true;
    clock.sleep(forMs, closed.signal).then(wake, () => undefined);
  };
  const wake = (): void => {
    isAsleep = false;
    const nowMs = clock.monotonicMs();
    for (const call of underWay) {
      if (call.dueMs > nowMs) {
        sleep(call.dueMs - nowMs);
        return;
      }
      underWay.delete(call);
      call.expire();
    }
  };

  return {
    // Settled by hand: a race of promises costs as much as all the rest of it.
    within: <T>(what: string, work: (isLate: () => boolean) => Promise<T>) => {
      let isLate = false;
      const { promise, resolve, reject } = Promise.withResolvers<T>();
      const call: Call = {
        dueMs: clock.monotonicMs() + ms,
        expire: () => {
          isLate = true;
          reject(new TimedOut(what, ms));
        },
      };
      underWay.add(call);
      if (!isAsleep) sleep(ms);
      work(() => isLate).then(
        (answer) => {
          underWay.delete(call);
          resolve(answer);
        },
        (error: unknown) => {
          underWay.delete(call);
          reject(error);
        },
      );
      return promise;
    },
    close: () => closed.abort(new Error("closed")),
  };
}
