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
  const late = new AbortController();
  const done = new AbortController();
  const exceeded = async (): Promise<never> => {
    const signal = AbortSignal.any([done.signal, options.signal]);
    await options.clock.sleep(Math.max(0, options.seconds) * 1000, signal);
    const error = new DeadlineExceeded(options.what, options.seconds);
    late.abort(error);
    throw error;
  };
  options.signal.throwIfAborted();
  try {
    return await Promise.race([call(AbortSignal.any([options.signal, late.signal])), exceeded()]);
  } finally {
    done.abort(DONE);
  }
}
