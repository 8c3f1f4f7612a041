import type { Core } from "@mayfly/core";
import {
  BrokerError,
  Secret,
  workloadName,
  type Actor,
  type CallContext,
  type Task,
  type TaskId,
  type VerifiedIdentity,
} from "@mayfly/spec";
import type { Administrators } from "../administrators.ts";

/** Who calls one of our own APIs. */
export type Caller =
  | { readonly kind: "administrator"; readonly actor: Actor }
  | { readonly kind: "task"; readonly actor: Actor; readonly task: Task; readonly token: Secret }
  | { readonly kind: "workload"; readonly actor: Actor; readonly identity: VerifiedIdentity };

export interface CallerPorts {
  readonly core: Core;
  readonly administrators: Administrators;
}

const BEARER = /^Bearer ([A-Za-z0-9._~+/-]+=*)$/i;
const TOKEN_MAX = 16_384;

/** RFC 6750 section 2.1. Two headers arrive joined by a comma, which the pattern refuses. */
export function bearerOf(header: string | null | undefined): Secret {
  const token = BEARER.exec(header ?? "")?.[1];
  if (token === undefined || token.length > TOKEN_MAX) {
    throw new BrokerError(
      "unauthenticated",
      "This needs an Authorization header with one bearer token.",
      { where: "Authorization" },
    );
  }
  return Secret.of(token);
}

/** Establishes the caller: an administrator, the holder of a task token, or a workload itself. */
export async function authenticateCaller(
  ports: CallerPorts,
  header: string | null | undefined,
  call: CallContext,
): Promise<Caller> {
  const token = bearerOf(header);
  if (ports.administrators.claims(token)) {
    return { kind: "administrator", actor: await ports.administrators.authenticate(token) };
  }
  if (looksLikeTaskToken(token)) {
    const { task } = await ports.core.authenticateTask(token, call);
    return {
      kind: "task",
      actor: { kind: "workload", name: workloadName(task.workload) },
      task,
      token,
    };
  }
  const identity = await ports.core.authenticateWorkload({ kind: "jwt", token }, call);
  return {
    kind: "workload",
    actor: { kind: "workload", name: workloadName(identity.workload) },
    identity,
  };
}

/** Routing on unverified bytes, never a reason to trust: RFC 9068 section 2.1 fixes the `typ`. */
function looksLikeTaskToken(token: Secret): boolean {
  const header = token.expose("crypto").split(".", 1)[0] ?? "";
  const text = Buffer.from(header, "base64url").toString("latin1");
  return /"typ"\s*:\s*"(?:application\/)?at\+jwt"/i.test(text);
}

export function mustBeAdministrator(caller: Caller): Actor {
  if (caller.kind !== "administrator") {
    throw new BrokerError("denied", "Only an administrator may do this.");
  }
  return caller.actor;
}

/**
 * Whether the caller may see and end the task: its holder, the same subject freshly proven, the
 * owner of a task above it, an administrator. Others learn nothing, not even that it exists.
 */
export function mustOwnTask(caller: Caller, task: Task | null, id: TaskId): Task {
  if (task !== null && owns(caller, task)) return task;
  throw new BrokerError("not_found", `There is no task ${id} that this caller may see.`, {
    where: "id",
  });
}

function owns(caller: Caller, task: Task): boolean {
  switch (caller.kind) {
    case "administrator":
      return true;
    case "task":
      return caller.task.id === task.id || task.ancestors.includes(caller.task.id);
    case "workload": {
      const { workload } = caller.identity;
      return (
        workload.trustRoot === task.workload.trustRoot &&
        workload.issuer === task.workload.issuer &&
        workload.subject === task.workload.subject
      );
    }
  }
}
