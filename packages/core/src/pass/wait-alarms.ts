import { instantMs, type Claim, type DurationSeconds } from "@mayfly/spec";
import type { CoreParts } from "../core-parts.ts";
import { wakeAt } from "../wake.ts";

/** Sets the alarms of leases that wait for a moment which their backend named. */
export interface WaitAlarms {
  /** Called once the ledger has the wait, which is over `seconds` after that. */
  set(claim: Pick<Claim, "leaseId" | "backendId">, seconds: DurationSeconds): void;
}

/** Waits that are over within the same of these are one alarm: it wakes their backend, not them. */
const STEP_MS = 250;
/** What waits longer is left to the sweep, so that no backend fills the queue for days. */
const SECONDS_MAX = 86_400;

/**
 * Of one pass. An alarm may be lost like any other, and then the next sweep ends the lease. It
 * rings one to two steps after the moment: the clock by which the queue rings may be a little ahead
 * of the ledger's, and a pass that came too early would find nothing due.
 */
export function createWaitAlarms(parts: CoreParts): WaitAlarms {
  const { clock } = parts.ports;
  const set = new Set<number>();
  return {
    set: ({ leaseId, backendId }, seconds) => {
      if (seconds > SECONDS_MAX) return;
      const over = clock.now() + seconds * 1_000;
      const at = instantMs((Math.ceil(over / STEP_MS) + 1) * STEP_MS);
      if (set.has(at)) return;
      set.add(at);
      // Renewals count in seconds, so no alarm of theirs has this number.
      wakeAt(parts, { leaseId, backendId, at, generation: at });
    },
  };
}
