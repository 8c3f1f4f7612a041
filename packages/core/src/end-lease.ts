import {
  BrokerError,
  type Actor,
  type CallContext,
  type DecisionId,
  type Lease,
  type LeaseId,
} from "@mayfly/spec";
import type { CoreParts } from "./core-parts.ts";
import { wakeNow } from "./wake.ts";

export interface EndLeaseRequest {
  readonly leaseId: LeaseId;
  readonly by: Actor;
  readonly reason: string;
  /** By which an administrator may; owners need none. */
  readonly decisionId?: DecisionId | null;
}

/** Ends one lease; its task goes on. Throws `not_found`. */
export async function endLease(
  parts: CoreParts,
  request: EndLeaseRequest,
  _context: CallContext,
): Promise<Lease> {
  const { leaseId, by, reason, decisionId = null } = request;
  const lease = await parts.ports.taskLedger.endLease(leaseId, by, reason, decisionId);
  if (lease === null) {
    throw new BrokerError("not_found", `There is no lease ${leaseId}.`, { where: "lease" });
  }
  wakeNow(parts, [lease.backendId]);
  return lease;
}

/**
 * Asks for an end where a request cannot go on. Best effort: without it, the lease ends at
 * `settleBy` (never activated) or at its expiry.
 */
export async function endLeaseQuietly(
  parts: CoreParts,
  leaseId: LeaseId,
  reason: string,
): Promise<void> {
  const by: Actor = { kind: "system", name: "broker" };
  try {
    const lease = await parts.ports.taskLedger.endLease(leaseId, by, reason);
    if (lease !== null) wakeNow(parts, [lease.backendId]);
  } catch (error) {
    parts.ports.log.warn("the end of a lease could not be asked for", { lease: leaseId }, error);
  }
}
