import type { Json, JsonObject, Task } from "@mayfly/spec";

/** The task as granted, for the reply (RFC 9396 section 7). No secret. */
export function grantedDetails(task: Task): JsonObject {
  const { descriptor } = task;
  return {
    type: "mayfly-task",
    version: descriptor.version,
    task: task.id,
    goal: descriptor.goal,
    ...(descriptor.ref === null ? {} : { ref: descriptor.ref }),
    deadline: descriptor.deadlineSeconds,
    idle_timeout: descriptor.idleTimeoutSeconds,
    ...(descriptor.claimedInitiator === null ? {} : { initiator: descriptor.claimedInitiator }),
    targets: descriptor.targets,
    credentials: descriptor.credentials.map((credential): Json => ({
      role: credential.role,
      params: credential.params,
      ...(credential.ttlSeconds === null ? {} : { ttl: credential.ttlSeconds }),
      issue: credential.issue,
    })),
    ...(task.parentId === null ? {} : { parent: task.parentId }),
  };
}

/** What the task token carries of it: small enough for a header, and no text of the client's. */
export function tokenDetails(task: Pick<Task, "id" | "descriptor">): JsonObject {
  const roles = new Set(task.descriptor.credentials.map((credential) => credential.role));
  return { type: "mayfly-task", version: 1, task: task.id, roles: [...roles].toSorted() };
}
