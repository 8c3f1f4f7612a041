import {
  BrokerError,
  type CallContext,
  type Secret,
  type Task,
  type TaskTokenClaims,
  type TaskTokenToEnd,
} from "@mayfly/spec";
import { isTokenOf, requireKey } from "./authenticate-task.ts";
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

/** A task token that is to be revoked, and the row of its task. */
export interface TaskTokenWithTask extends TaskTokenToEnd {
  readonly task: Task;
}

/**
 * As {@link introspect}, of a token that somebody wants the end of. Null: for certain no token of a
 * task here. Throws `NotKnownYet` where that cannot be known now.
 */
export async function taskTokenToEnd(
  { ports: { taskTokens, taskLedger, clock } }: CoreParts,
  token: Secret,
): Promise<TaskTokenWithTask | null> {
  const read = await taskTokens.readForEnd(token, clock.now());
  if (read === null) return null;
  const task = await taskLedger.find(read.claims.taskId);
  return task === null || !isTokenOf(task, read.claims) ? null : { ...read, task };
}

/** RFC 7009 section 2.1 for a public client: who sends the token has shown the key of its task. */
export async function requireHolder(task: Task, { provenKey }: CallContext): Promise<void> {
  requireKey(task, provenKey?.confirmation ?? null);
  await provenKey?.spend();
}
