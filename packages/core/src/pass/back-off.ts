import { durationSeconds, type DurationSeconds, type Random } from "@mayfly/spec";
import type { CoreSettings } from "../settings.ts";

/** However it is configured: what is stuck is looked at again within five minutes. */
const SECONDS_MAX = 300;

/**
 * Wait before the next attempt: doubled with each failure, ± half, so that the leases of a backend
 * that was away do not all come back at one instant. At least `askedSeconds`, where the backend
 * named a time, but never above the bound.
 */
export function backOff(
  settings: Pick<CoreSettings, "retryBaseSeconds" | "retrySecondsMax">,
  random: Random,
  failedBefore: number,
  askedSeconds: number,
): DurationSeconds {
  const most = Math.min(SECONDS_MAX, settings.retrySecondsMax);
  const doubled = settings.retryBaseSeconds * 2 ** Math.min(failedBefore, 20);
  const [high = 0, low = 0] = random.bytes(2);
  const jitter = 0.5 + (high * 256 + low) / 65_536;
  return durationSeconds(Math.min(most, Math.max(Math.min(doubled, most) * jitter, askedSeconds)));
}
