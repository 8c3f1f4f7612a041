import type { Core } from "@mayfly/core";
import {
  BrokerError,
  Secret,
  workloadName,
  type Actor,
  type Task,
  type TaskLedger,
  type VerifiedIdentity,
  type Workload,
} from "@mayfly/spec";
import type { Administrators } from "../administrators.ts";
import { proveCertificate, proveKey, type ProofPorts } from "./proven-key.ts";
import type { HttpContext } from "./request-scope.ts";

/** Who calls one of our own APIs. */
export type Caller =
  | { readonly kind: "administrator"; readonly actor: Actor }
  | { readonly kind: "task"; readonly actor: Actor; readonly task: Task; readonly token: Secret }
  | { readonly kind: "workload"; readonly actor: Actor; readonly identity: VerifiedIdentity };

export interface CallerPorts extends ProofPorts {
  readonly core: Pick<Core, "authenticateTask" | "authenticateWorkload">;
  readonly administrators: Administrators;
}

const AUTHORIZATION = /^(Bearer|DPoP) ([A-Za-z0-9._~+/-]+=*)$/i;
const TOKEN_MAX = 16_384;

interface Presented {
  readonly kind: Caller["kind"];
  readonly isDpop: boolean;
  readonly token: Secret;
}

/**
 * RFC 6750 section 2.1, RFC 9449 section 7.1. Two headers arrive joined by a comma, which the
 * pattern refuses.
 */
function authorizationOf(header: string | undefined): Omit<Presented, "kind"> {
  const [, scheme, token] = AUTHORIZATION.exec(header ?? "") ?? [];
  if (scheme === undefined || token === undefined || token.length > TOKEN_MAX) {
    throw new BrokerError(
      "unauthenticated",
      "This needs an Authorization header with one token, as Bearer or as DPoP.",
      { where: "Authorization" },
    );
  }
  return { isDpop: scheme.toLowerCase() === "dpop", token: Secret.of(token) };
}

/**
 * What the Authorization header holds, told apart by its looks, and the key that its proof showed.
 * Of the token nothing is verified yet.
 */
export async function presentedIn(
  c: HttpContext,
  ports: ProofPorts & Pick<CallerPorts, "administrators">,
): Promise<Presented> {
  const { isDpop, token } = authorizationOf(c.req.header("authorization"));
  if (isDpop) await proveKey(c, ports, token);
  else if (c.req.header("dpop") === undefined) proveCertificate(c);
  else {
    throw new BrokerError("invalid_request", "A DPoP header needs a token that is sent as DPoP.", {
      where: "Authorization",
    });
  }
  if (ports.administrators.claims(token)) return { kind: "administrator", isDpop, token };
  return { kind: looksLikeTaskToken(token) ? "task" : "workload", isDpop, token };
}

/** The bootstrap administrator alone. What policies decide on goes through `author.ts`. */
export const administratorOf = async (c: HttpContext, ports: CallerPorts): Promise<Actor> => {
  const caller = await callerOf(c, ports);
  if (caller.kind === "administrator") return caller.actor;
  throw new BrokerError("denied", "Only the bootstrap administrator may do this.", {
    public: { hint: "No policy permits it: send the bootstrap administrator's token." },
  });
};

/** The caller of this request: an administrator, the holder of a task token, or a workload. */
export async function callerOf(c: HttpContext, ports: CallerPorts): Promise<Caller> {
  const caller = await authenticated(c, ports);
  c.set("understood", true);
  return caller;
}

async function authenticated(c: HttpContext, ports: CallerPorts): Promise<Caller> {
  const { kind, isDpop, token } = await presentedIn(c, ports);
  const call = c.get("call");
  switch (kind) {
    case "administrator":
      return { kind, actor: await ports.administrators.authenticate(token) };
    case "task": {
      const { task } = await ports.core.authenticateTask(token, call);
      if (isDpop && task.confirmation === null) throw notBound();
      return { kind, actor: actorOf(task.workload), task, token };
    }
    case "workload": {
      const identity = await ports.core.authenticateWorkload({ kind: "jwt", token }, call);
      if (identity.oneTime !== null) throw countsOnce();
      return { kind, actor: actorOf(identity.workload), identity };
    }
  }
}

export const actorOf = (workload: Workload): Actor => ({
  kind: "workload",
  name: workloadName(workload),
});

/** RFC 9449 section 4.3, 12: a token that names no key is not proven by any. */
const notBound = (): BrokerError =>
  new BrokerError("unauthenticated", "The task token is bound to no key: send it as Bearer.");

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
