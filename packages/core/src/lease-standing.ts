import type { BackendId, Lease, LeaseId, LeaseStanding, Task } from "@mayfly/spec";
import type { CorePorts } from "./ports.ts";

/** Of a lease of this backend; one of another backend is unknown here. */
export async function leaseStanding(
  ports: Pick<CorePorts, "taskLedger" | "clock">,
  backendId: BackendId,
  leaseId: LeaseId,
): Promise<LeaseStanding> {
  const lease = await ports.taskLedger.lease(leaseId);
  if (lease === null || lease.backendId !== backendId) return "unknown";
  if (lease.state === "reserved" && lease.endRequestedAt === null) return "reserved";
  const task = lease.taskId === null ? null : await ports.taskLedger.find(lease.taskId);
  return task !== null && (await isLive(ports, lease, task)) ? "live" : "over";
}

/**
 * Whether the lease's credential may be used now: from the first commit of an end on, of the lease,
 * its task or a task above it, it may not.
 */
export async function isLive(
  { taskLedger, clock }: Pick<CorePorts, "taskLedger" | "clock">,
  lease: Lease,
  task: Task,
): Promise<boolean> {
  if (lease.state !== "active" || lease.endRequestedAt !== null) return false;
  if (clock.now() >= lease.expiresAt) return false;
  const above = await Promise.all(task.ancestors.map((id) => taskLedger.find(id)));
  return [task, ...above].every(
    (each) =>
      each !== null &&
      each.state === "active" &&
      !each.endRequested &&
      clock.now() < each.deadlineAt,
  );
}
