import { plusSeconds, type BackendId, type CallContext, type Lease } from "@mayfly/spec";
import type { CoreParts } from "./core-parts.ts";
import type { Passes } from "./pass/passes.ts";
import { withDeadline } from "./with-deadline.ts";

export interface AwaitedEnds {
  /** Whose ends: for the log. */
  readonly what: string;
  readonly seconds: number;
  readonly backendIds: readonly BackendId[];
  /** Their leases as the ledger has them now. */
  readonly look: () => Promise<readonly Lease[]>;
}

const LOOK_AGAIN_MS_MAX = 250;

/**
 * Runs the passes of these leases here, worker or no worker, until every lease has ended, or the
 * time is over, or the caller is gone.
 */
export async function waitForEnds(
  parts: CoreParts,
  passes: Passes,
  ends: AwaitedEnds,
  context: CallContext,
): Promise<void> {
  const { clock, log } = parts.ports;
  const { seconds, what } = ends;
  const options = { clock, seconds, signal: context.signal, what: `wait for ${what}` };
  try {
    await withDeadline(options, (signal) =>
      passUntilEnded(parts, passes, ends, { ...context, signal }),
    );
  } catch (error) {
    log.info("an end was answered before all its leases had ended", {
      of: what,
      reason: String(error),
    });
  }
}

async function passUntilEnded(
  parts: CoreParts,
  passes: Passes,
  { seconds, backendIds, look }: AwaitedEnds,
  context: CallContext,
): Promise<void> {
  const { clock, log } = parts.ports;
  const until = plusSeconds(clock.now(), seconds);
  // Who stops waiting does not break off a revocation.
  const unhurried = new AbortController().signal;
  const pass = async (backendId: BackendId): Promise<void> => {
    try {
      await passes.run(backendId, { traceId: context.traceId, signal: unhurried });
    } catch (error) {
      log.warn("a pass for an end failed: the worker's takes over", { backendId }, error);
    }
  };
  // One backend that hangs is not waited for before the others' leases are looked at.
  let toPass = new Set(backendIds);
  for (let waitMs = 10; !context.signal.aborted; waitMs = Math.min(LOOK_AGAIN_MS_MAX, waitMs * 2)) {
    const passing = Promise.all([...toPass].map(pass));
    await Promise.race([passing, clock.sleep(LOOK_AGAIN_MS_MAX, context.signal)]);
    const live = (await look()).filter((lease) => lease.state !== "ended");
    if (live.every((lease) => isDueAfter(lease, until))) return;
    const now = clock.now();
    toPass = new Set(
      live.filter((lease) => !isDueAfter(lease, now)).map(({ backendId }) => backendId),
    );
    await clock.sleep(waitMs, context.signal);
  }
}

/** Nothing will be done about it until then: waiting longer here is of no use. */
const isDueAfter = (lease: Lease, at: number): boolean =>
  lease.state !== "reserved" && lease.nextAttemptAt !== null && lease.nextAttemptAt > at;
