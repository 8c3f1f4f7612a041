import type { CallContext } from "@mayfly/spec";
import { Refusal } from "./refusal.ts";

const BACK_OFF_SECONDS_MIN = 1;
const BACK_OFF_SECONDS_MAX = 60;

/** Work that at most one caller does while others wait for it, and that rests after it failed. */
export interface BackedOffFlight<T> {
  /** Joins the work under way or starts it; throws a Refusal while it rests. */
  run(context: CallContext): Promise<T>;
  readonly underWay: boolean;
  /** How many wait for it. */
  readonly waiting: number;
}

/** Rests 1 s after a failure, then twice as long after each, 60 s at most. */
export function backedOffFlight<T>(
  work: (context: CallContext) => Promise<T>,
  failed: (failures: number, error: unknown) => void,
): BackedOffFlight<T> {
  let underWay: Promise<T> | null = null;
  let failures = 0;
  let notBeforeMs = Number.NEGATIVE_INFINITY;
  let waiting = 0;

  const attempt = async (context: CallContext): Promise<T> => {
    try {
      const result = await work(context);
      failures = 0;
      return result;
    } catch (error) {
      const waitSeconds = Math.min(BACK_OFF_SECONDS_MAX, BACK_OFF_SECONDS_MIN * 2 ** failures);
      failures = Math.min(failures + 1, 30);
      notBeforeMs = context.clock.monotonicMs() + waitSeconds * 1000;
      failed(failures, error);
      throw error;
    }
  };

  return {
    run: async (context) => {
      if (underWay === null) {
        if (context.clock.monotonicMs() < notBeforeMs) {
          throw new Refusal("keys_unavailable", "fetching keys failed a moment ago; waiting");
        }
        underWay = attempt(context).finally(() => {
          underWay = null;
        });
      }
      waiting += 1;
      try {
        return await unlessAborted(underWay, context.signal);
      } finally {
        waiting -= 1;
      }
    },
    get waiting() {
      return waiting;
    },
    get underWay() {
      return underWay !== null;
    },
  };
}

/** A caller's deadline ends its wait, not the work that others wait for too. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(new Refusal("aborted", "the call was cancelled"));
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
