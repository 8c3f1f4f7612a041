import type { LeaseId, RegisteredBackend, Secret } from "@mayfly/spec";
import type { CoreParts } from "./core-parts.ts";
import { withDeadline } from "./with-deadline.ts";
import { wakeNow } from "./wake.ts";

const DESTROY_SECONDS_MAX = 10;

/**
 * Revokes what was just minted and will not be handed out, by the handle in hand. Best effort: a
 * failure is logged, and the owner of the row does it again.
 */
export async function destroyInHand(
  parts: CoreParts,
  minted: {
    readonly leaseId: LeaseId;
    readonly registered: RegisteredBackend;
    readonly handle: Secret;
  },
  traceId: string,
): Promise<void> {
  const { clock, log } = parts.ports;
  const { leaseId, registered, handle } = minted;
  const what = `destroy what was minted for ${leaseId}`;
  // Not the caller's signal: one who hangs up would leave the credential alive.
  const unhurried = new AbortController().signal;
  try {
    await withDeadline(
      { clock, seconds: DESTROY_SECONDS_MAX, signal: unhurried, what },
      async (signal) =>
        parts.openBackends.use(registered, async (open) => {
          if (open.revocation !== "none") await open.revoke(handle, { clock, signal, traceId });
        }),
    );
  } catch (error) {
    log.warn("a withheld credential was not destroyed at once", { lease: leaseId }, error);
  }
  wakeNow(parts, [registered.id]);
}
