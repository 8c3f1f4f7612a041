import type { Core } from "@mayfly/core";
import {
  BrokerError,
  Secret,
  workloadName,
  type Actor,
  type CallContext,
  type Task,
  type TaskLedger,
  type VerifiedIdentity,
  type Workload,
} from "@mayfly/spec";
import type { Administrators } from "../administrators.ts";
import type { HttpContext } from "./request-scope.ts";

/** Who calls one of our own APIs. */
export type Caller =
  | { readonly kind: "administrator"; readonly actor: Actor }
  | { readonly kind: "task"; readonly actor: Actor; readonly task: Task; readonly token: Secret }
  | { readonly kind: "workload"; readonly actor: Actor; readonly identity: VerifiedIdentity };

export interface CallerPorts {
  readonly core: Pick<Core, "authenticateTask" | "authenticateWorkload">;
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

/** The caller of this request: an administrator, the holder of a task token, or a workload. */
export const callerOf = (c: HttpContext, ports: CallerPorts): Promise<Caller> =>
  authenticateCaller(ports, c.req.header("authorization"), c.get("call"));

/** The bootstrap administrator alone. What policies decide on goes through `author.ts`. */
export const administratorOf = async (c: HttpContext, ports: CallerPorts): Promise<Actor> => {
  const caller = await callerOf(c, ports);
  if (caller.kind === "administrator") return caller.actor;
  throw new BrokerError("denied", "Only the bootstrap administrator may do this.", {
    public: { hint: "No policy permits it: send the bootstrap administrator's token." },
  });
};

/** What the Authorization header holds, told apart by its looks alone: nothing is verified. */
export function presentedBy(
  ports: Pick<CallerPorts, "administrators">,
  header: string | null | undefined,
): { readonly kind: Caller["kind"]; readonly token: Secret } {
  const token = bearerOf(header);
  if (ports.administrators.claims(token)) return { kind: "administrator", token };
  return { kind: looksLikeTaskToken(token) ? "task" : "workload", token };
}

export async function authenticateCaller(
  ports: CallerPorts,
  header: string | null | undefined,
  call: CallContext,
): Promise<Caller> {
  const { kind, token } = presentedBy(ports, header);
  switch (kind) {
    case "administrator":
      return { kind, actor: await ports.administrators.authenticate(token) };
    case "task": {
      const { task } = await ports.core.authenticateTask(token, call);
      return { kind, actor: actorOf(task.workload), task, token };
    }
    case "workload": {
      const identity = await ports.core.authenticateWorkload({ kind: "jwt", token }, call);
      if (identity.oneTime !== null) throw countsOnce();
      return { kind, actor: actorOf(identity.workload), identity };
    }
  }
}

const actorOf = (workload: Workload): Actor => ({
  kind: "workload",
  name: workloadName(workload),
});

/** Only a reservation records the use of a one-time token; without that it could be replayed. */
const countsOnce = (): BrokerError =>
  new BrokerError(
    "unauthenticated",
    "This token counts once, for a token exchange; it is not accepted here.",
    {
      where: "Authorization",
      public: { hint: "Exchange it with the task's id in `task`, then send the task token." },
    },
  );

/** Routing on unverified bytes, never a reason to trust: RFC 9068 section 2.1 fixes the `typ`. */
function looksLikeTaskToken(token: Secret): boolean {
  const header = token.expose("crypto").split(".", 1)[0] ?? "";
  const text = Buffer.from(header, "base64url").toString("latin1");
  return /"typ"\s*:\s*"(?:application\/)?at\+jwt"/i.test(text);
}

/**
 * Whether the task is the caller's to see and end: its holder's, the same subject's freshly proven,
 * the owner's of a task above it, the bootstrap administrator's.
 */
export async function owns(
  tasks: Pick<TaskLedger, "find">,
  caller: Caller,
  task: Task,
): Promise<boolean> {
  switch (caller.kind) {
    case "administrator":
      return true;
    case "task":
      return caller.task.id === task.id || task.ancestors.includes(caller.task.id);
    case "workload": {
      const { workload } = caller.identity;
      if (isSame(workload, task.workload)) return true;
      for (const id of task.ancestors) {
        const ancestor = await tasks.find(id);
        if (ancestor !== null && isSame(workload, ancestor.workload)) return true;
      }
      return false;
    }
  }
}

const isSame = (a: Workload, b: Workload): boolean =>
  a.trustRoot === b.trustRoot &&
  a.kind === b.kind &&
  a.issuer === b.issuer &&
  a.subject === b.subject;
