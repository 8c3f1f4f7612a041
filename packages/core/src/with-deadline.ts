import { BrokerError, type Clock } from "@mayfly/spec";

export interface DeadlineOptions {
  readonly clock: Clock;
  readonly seconds: number;
  /** Aborts the call early: the caller's own deadline, or shutdown. */
  readonly signal: AbortSignal;
  /** Named in the error: "revoke at orders-db". */
  readonly what: string;
}

/** One for all: what `abort()` would make for each call is dear, and nobody sees it. */
const DONE = new Error("the call has ended");

/** What was waited for did not come. Whether it still happens is not known. */
export class DeadlineExceeded extends BrokerError {
  override readonly name = "DeadlineExceeded";
  constructor(what: string, seconds: number) {
    const shown = Math.round(seconds * 10) / 10;
    super("backend_unavailable", `${what}: no answer within ${shown} s`, { retryAfterSeconds: 1 });
  }
}

/**
 * Runs `call` and waits at most `seconds` (monotonic), then aborts its signal and rejects with
 * {@link DeadlineExceeded}, whether or not the call heeds the signal: a driver that hangs holds
 * nobody. What the abandoned call does later is nobody's result.
 */
export async function withDeadline<T>(
  options: DeadlineOptions,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  options.signal.throwIfAborted();
  // By hand: `AbortSignal.any` is dear, and every mint, revoke and alarm passes here.
  const given = new AbortController();
  const done = new AbortController();
  const abort = (): void => {
    given.abort(options.signal.reason);
    done.abort(options.signal.reason);
  };
  options.signal.addEventListener("abort", abort, { once: true });
  const exceeded = async (): Promise<never> => {
    await options.clock.sleep(Math.max(0, options.seconds) * 1000, done.signal);
    const error = new DeadlineExceeded(options.what, options.seconds);
    given.abort(error);
    throw error;
  };
  try {
    return await Promise.race([call(given.signal), exceeded()]);
  } finally {
    options.signal.removeEventListener("abort", abort);
    done.abort(DONE);
  }
}
