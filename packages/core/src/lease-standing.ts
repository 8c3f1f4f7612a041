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

/**
 * Whether the lease's credential may be used now: from the first commit of an end on, of the lease,
 * its task or a task above it (whose end is the task's too), it may not.
 */
export function isLive(clock: Clock, lease: Lease, task: Task): boolean {
  const now = clock.now();
  return (
    lease.state === "active" &&
    lease.endRequestedAt === null &&
    now < lease.expiresAt &&
    task.state === "active" &&
    !task.endRequested &&
    now < task.deadlineAt
  );
}
