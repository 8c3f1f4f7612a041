import { setImmediate } from "node:timers/promises";
import { instantMs, type Clock } from "@mayfly/spec";

/** The longest delay that a timer holds; a longer one fires at once (Node.js, `setTimeout`). */
const LONGEST_TIMER_MS = 2_147_483_647;

/** The machine's own time. */
export const systemClock: Clock = {
  now: () => instantMs(Date.now()),
  monotonicMs: () => performance.now(),
  turn: () => setImmediate(),
  sleep: async (ms, signal) => {
    let left = Math.max(0, ms);
    do {
      const step = Math.min(left, LONGEST_TIMER_MS);
      await sleepOnce(step, signal);
      left -= step;
    } while (left > 0);
  },
};

function sleepOnce(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      clearTimeout(timer);
      reject(reasonOf(signal));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    if (signal?.aborted === true) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });
}

function reasonOf(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason;
  return reason instanceof Error ? reason : new Error("aborted", { cause: reason });
}
