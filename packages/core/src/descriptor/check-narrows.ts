import { BrokerError, type Task, type TaskDescriptor } from "@mayfly/spec";
import { detailsPath } from "./task-details.ts";

/**
 * A child's frame lies within its parent's: depth, deadline, targets. Its credentials are compared
 * as plans, by the backend's own comparator. Throws `invalid_task`.
 */
export function checkNarrows(child: TaskDescriptor, parent: Task, taskDepthMax: number): void {
  if (parent.depth + 1 > taskDepthMax) {
    throw tooWide("parent", `tasks nest at most ${taskDepthMax} deep`);
  }
  if (child.deadlineSeconds > parent.descriptor.deadlineSeconds) {
    const { deadlineSeconds } = parent.descriptor;
    throw tooWide("deadline", `later than the parent's, ${deadlineSeconds} seconds`);
  }
  const allowed = new Set(parent.descriptor.targets);
  const extra = child.targets.find((target) => !allowed.has(target));
  if (extra !== undefined) throw tooWide("targets", `"${extra}" is not a target of the parent`);
}

function tooWide(member: string, problem: string): BrokerError {
  const where = detailsPath(member);
  return new BrokerError("invalid_task", `${where}: ${problem}; a child task only narrows`, {
    where,
  });
}
