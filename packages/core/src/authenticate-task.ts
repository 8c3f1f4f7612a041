import {
  BrokerError,
  holderOf,
  plusSeconds,
  unreachable,
  workloadName,
  type CallContext,
  type InstantMs,
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
 * Verifies a task token, and that the request showed the key that its task is bound to, and reads
 * its task's row. Says who holds the token, not that the task lives: what needs a live one calls
 * {@link requireActive}. Throws `unauthenticated`; `invalid_dpop_proof` for a proof used before.
 */
export async function authenticateTask(
  parts: CoreParts,
  token: Secret,
  context: CallContext,
): Promise<AuthenticatedTask> {
  const { taskTokens, taskLedger, clock } = parts.ports;
  const claims = await taskTokens.verify(token, clock.now());
  const task = await taskLedger.find(claims.taskId);
  if (task === null || !isTokenOf(task, claims)) {
    throw new BrokerError("unauthenticated", "The task token is not one of a task held here.");
  }
  requireKey(task, context.provenKey?.confirmation ?? null);
  await context.provenKey?.spend();
  return { task, claims };
}

/** Whether what a token of ours says is of this task as its row has it. */
export const isTokenOf = (task: Task, claims: TaskTokenClaims): boolean =>
  holderOf(claims) === workloadName(task.workload) &&
  claims.confirmation === task.confirmation &&
  // The reverse may be: a broker of an earlier version says who acts in any case.
  (claims.impersonates !== true || task.descriptor.impersonate === true);

/** RFC 9449 section 7.1: whoever copied a bound token has not its key. */
export function requireKey(task: Task, proven: string | null): void {
  if (task.confirmation === null || task.confirmation === proven) return;
  throw new BrokerError(
    "unauthenticated",
    proven === null
      ? "The task token is bound to a key, and came without proof of that key."
      : "The task token is bound to another key than the one that was proven.",
    {
      public: {
        hint:
          "Send it as `Authorization: DPoP <token>`, with a DPoP header whose proof is signed with " +
          "the key that opened the task (RFC 9449); at the token endpoint, the DPoP header alone.",
      },
    },
  );
}

/** Throws `task_ended`. */
export function requireActive(parts: CoreParts, task: Task): void {
  const isOpen = task.state === "active" && !task.endRequested;
  if (isOpen && parts.ports.clock.now() < task.deadlineAt) return;
  throw taskEnded(task, parts.ports.clock.now());
}

/** Says to its holder what ended it, as the task's own view does, and what to do about that. */
export function taskEnded(task: Task, now: InstantMs): BrokerError {
  const { message, hint } = endOf(task, now);
  return new BrokerError("task_ended", `${task.id} ${message}.`, {
    public: { task: task.id, state: task.state, hint },
  });
}

function endOf(task: Task, now: InstantMs): { readonly message: string; readonly hint: string } {
  // Who gave no reason is on record with the verb, which says nothing more.
  const isVerb = /^(?:complete|fail|cancel|kill)$/.test(task.endReason ?? "");
  const why = task.endReason === null || isVerb ? "" : `: ${task.endReason}`;
  const { idleTimeoutSeconds, deadlineSeconds } = task.descriptor;
  switch (task.state) {
    case "active":
      return task.endRequested || now < task.deadlineAt
        ? { message: "is ending: its end was requested", hint: ANEW }
        : { message: `is over: its deadline of ${deadlineSeconds} s passed`, hint: LONGER };
    case "expired":
      return now < task.deadlineAt
        ? {
            message: `is expired${why} of ${idleTimeoutSeconds} s`,
            hint: "Send heartbeats well within idle_timeout, or ask for a longer one; open a new task.",
          }
        : { message: `is expired${why}`, hint: LONGER };
    case "killed":
      return {
        message: `was killed${why}`,
        hint: "Stop. Somebody ended it on purpose: ask the operators before you open a new task.",
      };
    case "completed":
    case "failed":
    case "cancelled":
      return { message: `is ${task.state}${why}`, hint: ANEW };
    default:
      return unreachable(task.state);
  }
}

const ANEW = "Nothing can be drawn from it any more: open a new task.";
const LONGER = "Open a new task, with a deadline that fits the work.";

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
