import type { BackendId, Clock, Lease, LeaseId, LeaseStanding, Task } from "@mayfly/spec";
import type { CorePorts } from "./ports.ts";

/** Of a lease of this backend; one of another backend is unknown here. */
export async function leaseStanding(
  { taskLedger, clock }: Pick<CorePorts, "taskLedger" | "clock">,
  backendId: BackendId,
  leaseId: LeaseId,
): Promise<LeaseStanding> {
  const lease = await taskLedger.lease(leaseId);
  if (lease === null || lease.backendId !== backendId) return "unknown";
  if (lease.state === "reserved" && lease.endRequestedAt === null) return "reserved";
  const task = lease.taskId === null ? null : await taskLedger.find(lease.taskId);
  return task !== null && isLive(clock, lease, task) ? "live" : "over";
}

/** Whether the lease's credential may be used now: no end is on record, and no time is over. */
export function isLive(clock: Clock, lease: Lease, task: Task): boolean {
  const now = clock.now();
  return isUnended(lease, task) && now < lease.expiresAt && now < task.deadlineAt;
}

/**
 * By the record alone, whatever a clock says: from the first commit of an end on, of the lease, its
 * task or a task above it (whose end is the task's too), it is ended.
 */
export const isUnended = (lease: Lease, task: Task): boolean =>
  lease.state === "active" &&
  lease.endRequestedAt === null &&
  task.state === "active" &&
  !task.endRequested;
