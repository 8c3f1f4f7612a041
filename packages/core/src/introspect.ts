import {
  BrokerError,
  type CallContext,
  type Secret,
  type Task,
  type TaskTokenClaims,
} from "@mayfly/spec";
import { isTokenOf } from "./authenticate-task.ts";
import type { CoreParts } from "./core-parts.ts";

/** What a task token that counts says, and the row of its task. */
export interface IntrospectedToken {
  readonly task: Task;
  readonly claims: TaskTokenClaims & { readonly jti: string };
  /** Whether anything can still be drawn with it. */
  readonly isActive: boolean;
}

/**
 * Looks at a task token that somebody else presented: whose it is, not that its sender holds its
 * key. Null for what is no valid task token of a task here, whatever it is otherwise.
 */
export async function introspect(
  parts: CoreParts,
  token: Secret,
  _context: CallContext,
): Promise<IntrospectedToken | null> {
  const { taskTokens, taskLedger, clock } = parts.ports;
  const claims = await taskTokens.verify(token, clock.now()).catch((error: unknown) => {
    if (BrokerError.is(error) && error.code === "unauthenticated") return null;
    throw error;
  });
  if (claims === null) return null;
  const task = await taskLedger.find(claims.taskId);
  if (task === null || !isTokenOf(task, claims)) return null;
  const isOpen = task.state === "active" && !task.endRequested;
  return { task, claims, isActive: isOpen && clock.now() < task.deadlineAt };
}
