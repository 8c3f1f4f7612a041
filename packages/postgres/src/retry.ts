import type { Clock, Random } from "@mayfly/spec";
import { faultKind, faultOf, LedgerFault, toBrokerError } from "./faults.ts";
import type { WorkRefusals } from "./work-refusals.ts";

export interface RetryPorts {
  readonly clock: Clock;
  readonly random: Random;
  /** The longest that one call to the ledger may take, retries and connecting included. */
  readonly callMs: number;
  /** Named when it lacks a right; null or left out where it is not known. */
  readonly databaseRole?: string | null;
  /** Told what each call met. Left out for calls that are no work. */
  readonly refusals?: WorkRefusals;
}

const ATTEMPTS_MAX = 6;
const BASE_MS = 5;

/**
 * Runs a transaction again when it lost a serialisation conflict or a deadlock (40001, 40P01), at
 * most 6 times, 5 to 160 ms apart with jitter. Whatever else fails leaves as a BrokerError.
 */
export async function withRetries<T>(
  ports: RetryPorts,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  try {
    return await withinCall(ports, (signal) => retried(ports, () => run(signal), signal));
  } catch (error) {
    throw toBrokerError(error, ports.databaseRole);
  }
}

async function retried<T>(
  { clock, random }: RetryPorts,
  run: () => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run();
    } catch (error) {
      const fault = faultOf(error);
      if (fault === null || faultKind(fault) !== "conflict" || attempt === ATTEMPTS_MAX)
        throw error;
      await clock.sleep(jitteredMs(random, BASE_MS * 2 ** attempt), signal);
    }
  }
}

/** Between a half and the whole of `ms`. */
export function jitteredMs(random: Random, ms: number): number {
  const [byte = 0] = random.bytes(1);
  return ms * (0.5 + byte / 512);
}

/** One for all: an error of its own for each call is dear, and nobody sees it. */
const ANSWERED = new Error("answered");

/**
 * The driver connects again without end to a server that accepts and hangs up, so the wait is
 * bounded here. `signal` is aborted when the caller was told: what has not been sent then never is.
 */
export async function withinCall<T>(
  { clock, callMs, refusals }: RetryPorts,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const answered = new AbortController();
  const given = new AbortController();
  const late = clock.sleep(callMs, answered.signal).then((): never => {
    const fault = new LedgerFault("CALL_TIMEOUT", `no answer within ${callMs} ms`, null);
    given.abort(fault);
    throw fault;
  });
  try {
    return await Promise.race([run(given.signal), late]);
  } catch (error) {
    refusals?.met(error);
    throw error;
  } finally {
    answered.abort(ANSWERED);
  }
}
