import type { Clock, InstantMs } from "@mayfly/spec";

/** `expires_in` (RFC 6749 section 5.1): whole seconds, never more than are left. */
export const secondsLeft = (clock: Pick<Clock, "now">, until: InstantMs): number =>
  Math.max(0, Math.floor((until - clock.now()) / 1000));
