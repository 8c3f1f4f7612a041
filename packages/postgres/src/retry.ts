import type { Clock, Random } from "@mayfly/spec";
import { faultKind, faultOf, toBrokerError } from "./faults.ts";

export interface RetryPorts {
  readonly clock: Clock;
  readonly random: Random;
}

const ATTEMPTS_MAX = 6;
const BASE_MS = 5;

/**
 * Runs a transaction again when it lost a serialisation conflict or a deadlock (40001, 40P01), at
 * most 6 times, 5 to 160 ms apart with jitter. Whatever else fails leaves as a BrokerError.
 */
export async function withRetries<T>(ports: RetryPorts, run: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run();
    } catch (error) {
      const fault = faultOf(error);
      if (fault === null || faultKind(fault) !== "conflict" || attempt === ATTEMPTS_MAX) {
        throw toBrokerError(error);
      }
      await ports.clock.sleep(jitteredMs(ports.random, BASE_MS * 2 ** attempt));
    }
  }
}

/** Between a half and the whole of `ms`. */
export function jitteredMs(random: Random, ms: number): number {
  const [byte = 0] = random.bytes(1);
  return ms * (0.5 + byte / 512);
}
