import {
  BrokerError,
  plusSeconds,
  workloadName,
  type CallContext,
  type JsonObject,
  type Secret,
  type Task,
  type TaskTokenClaims,
} from "@mayfly/spec";
import type { CoreParts } from "./core-parts.ts";

export interface AuthenticatedTask {
  /** As the primary has it now; perhaps ended. */
  readonly task: Task;
  readonly claims: TaskTokenClaims;
}

/**
 * Verifies a task token and reads its task's row. Says who holds the token, not that the task
 * lives: what needs a live one calls {@link requireActive}. Throws `unauthenticated`.
 */
export async function authenticateTask(
  parts: CoreParts,
  token: Secret,
  _context: CallContext,
): Promise<AuthenticatedTask> {
  const { taskTokens, taskLedger, clock } = parts.ports;
  const claims = await taskTokens.verify(token, clock.now());
  const task = await taskLedger.find(claims.taskId);
  const isHeld =
    task !== null &&
    claims.subject === workloadName(task.workload) &&
    claims.confirmation === task.confirmation;
  if (!isHeld) {
    throw new BrokerError("unauthenticated", "The task token is not one of a task held here.");
  }
  return { task, claims };
}

/** Throws `task_ended`. */
export function requireActive(parts: CoreParts, task: Task): void {
  const isOpen = task.state === "active" && !task.endRequested;
  if (isOpen && parts.ports.clock.now() < task.deadlineAt) return;
  const what = task.state === "active" ? "is ending" : `is ${task.state}`;
  throw new BrokerError("task_ended", `${task.id} ${what}.`, { public: { task: task.id } });
}

const HINT: JsonObject = {
  hint: "Present your identity afresh: exchange it with the task's id in `task`.",
};

/** A task token alone counts only while the last proof of identity is young enough. */
export function requireRecentProof(parts: CoreParts, task: Task): void {
  const until = plusSeconds(task.identityProvenAt, task.identityMaxAgeSeconds);
  if (parts.ports.clock.now() < until) return;
  throw new BrokerError(
    "invalid_identity",
    `The identity behind ${task.id} was last proven more than ${task.identityMaxAgeSeconds} s ago.`,
    { public: HINT },
  );
}
