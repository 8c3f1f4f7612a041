import type { Json, JsonObject, RoleName, Task } from "@mayfly/spec";

/** How many seconds a credential of a role lives at most, whatever is asked. */
export type LongestLife = (role: RoleName) => number;

/**
 * The task as granted, for the reply (RFC 9396 section 7): what was asked, cut to what the task,
 * its roles and those above it allow. The descriptor on record keeps the `ttl` that was declared,
 * which renewals count against; for how long each credential was granted stands in its lease. No
 * secret.
 */
export function grantedDetails(task: Task, longestLife: LongestLife): JsonObject {
  const { descriptor } = task;
  const deadline = grantedDeadline(task);
  return {
    type: "mayfly-task",
    version: descriptor.version,
    task: task.id,
    goal: descriptor.goal,
    ...(descriptor.ref === null ? {} : { ref: descriptor.ref }),
    deadline,
    idle_timeout: descriptor.idleTimeoutSeconds,
    ...(descriptor.claimedInitiator === null ? {} : { initiator: descriptor.claimedInitiator }),
    targets: descriptor.targets,
    credentials: descriptor.credentials.map((credential): Json => ({
      role: credential.role,
      params: credential.params,
      ...(credential.ttlSeconds === null
        ? {}
        : { ttl: Math.min(credential.ttlSeconds, longestLife(credential.role), deadline) }),
      issue: credential.issue,
    })),
    ...(task.parentId === null ? {} : { parent: task.parentId }),
    ...(descriptor.impersonate === undefined ? {} : { impersonate: descriptor.impersonate }),
  };
}

/** A child ends with its parent, which may be sooner than it asked. In seconds since it opened. */
function grantedDeadline({ descriptor, parentId, deadlineAt, openedAt }: Task): number {
  if (parentId === null) return descriptor.deadlineSeconds;
  return Math.min(descriptor.deadlineSeconds, Math.ceil((deadlineAt - openedAt) / 1000));
}

/** What the task token carries of it: small enough for a header, and no text of the client's. */
export function tokenDetails(task: Pick<Task, "id" | "descriptor">): JsonObject {
  const roles = new Set(task.descriptor.credentials.map((credential) => credential.role));
  return { type: "mayfly-task", version: 1, task: task.id, roles: [...roles].toSorted() };
}
