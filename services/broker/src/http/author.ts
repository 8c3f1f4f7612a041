import {
  authorOfIdentity,
  leaseResource,
  taskResource,
  type Author,
  type Authority,
  type Core,
} from "@mayfly/core";
import {
  BrokerError,
  type AdministeredResource,
  type AdministrativeAction,
  type Lease,
  type LeaseId,
  type Task,
  type TaskId,
  type TaskLedger,
} from "@mayfly/spec";
import { callerOf, owns, type Caller, type CallerPorts } from "./caller.ts";
import type { HttpContext } from "./request-scope.ts";

export interface AuthorPorts extends CallerPorts {
  readonly core: CallerPorts["core"] & Pick<Core, "authorise">;
}
type WithTasks = AuthorPorts & { readonly tasks: Pick<TaskLedger, "find" | "lease"> };

/**
 * Who asks to administer: policies decide of what, but for the bootstrap administrator. Who is of
 * no trust root of administrators is told so at once: no policy is asked, no row is written.
 */
export async function authorOf(c: HttpContext, ports: CallerPorts): Promise<Author> {
  const author = authorOfCaller(await callerOf(c, ports));
  if (author !== null) return author;
  throw new BrokerError("denied", "Only an administrator may do this.", {
    where: "Authorization",
    public: {
      hint:
        "Administrators are identities of a trust root that is registered with " +
        "administrators: true, as far as policies permit; a task token is for its task alone.",
    },
  });
}

function authorOfCaller(caller: Caller): Author | null {
  switch (caller.kind) {
    case "administrator":
      return caller.actor;
    case "workload":
      return caller.identity.mayAdminister ? authorOfIdentity(caller.identity) : null;
    case "task":
      return null;
  }
}

export const LEDGER: AdministeredResource = { kind: "ledger" };

/** Throws `denied`, with the decision. A permit to change or end anything is on record after it. */
export const authorityOf = async (
  c: HttpContext,
  ports: AuthorPorts,
  action: AdministrativeAction,
  resource: AdministeredResource,
): Promise<Authority> => ports.core.authorise(await authorOf(c, ports), action, resource);

/**
 * What may be read by its owner without asking anybody, and by others where policies permit.
 * Strangers learn nothing, not even whether it exists.
 */
export async function taskFor(
  c: HttpContext,
  ports: WithTasks,
  id: TaskId,
  action: "read" | "end" | "kill",
): Promise<Authority & { readonly task: Task }> {
  const caller = await callerOf(c, ports);
  const task = await ports.tasks.find(id);
  if (task !== null && (await owns(ports.tasks, caller, task))) {
    return { actor: caller.actor, decisionId: null, task };
  }
  const authority = await asAdministrator(ports, caller, action, taskResource(id, task));
  if (authority !== null && task !== null) return { ...authority, task };
  throw new BrokerError("not_found", `There is no task ${id} that this caller may see.`, {
    where: "id",
  });
}

/** As {@link taskFor} for `read`, where a stranger is answered and not refused. */
export async function mayReadTask(ports: WithTasks, caller: Caller, task: Task): Promise<boolean> {
  if (await owns(ports.tasks, caller, task)) return true;
  try {
    const resource = taskResource(task.id, task);
    return (await asAdministrator(ports, caller, "read", resource)) !== null;
  } catch (error) {
    if (BrokerError.is(error) && error.code === "denied") return false;
    throw error;
  }
}

/** Without a task (a restore), a lease is an administrator's. */
export async function leaseFor(
  c: HttpContext,
  ports: WithTasks,
  id: LeaseId,
  action: "read" | "end",
): Promise<Authority & { readonly lease: Lease; readonly caller: Caller }> {
  const caller = await callerOf(c, ports);
  const lease = await ports.tasks.lease(id);
  if (lease !== null && (await ownsLease(ports, caller, lease))) {
    return { actor: caller.actor, decisionId: null, lease, caller };
  }
  const authority = await asAdministrator(ports, caller, action, leaseResource(id, lease));
  if (authority !== null && lease !== null) return { ...authority, lease, caller };
  throw new BrokerError("not_found", `There is no lease ${id} that this caller may see.`, {
    where: "id",
  });
}

async function ownsLease(ports: WithTasks, caller: Caller, lease: Lease): Promise<boolean> {
  if (caller.kind === "administrator") return true;
  const task = lease.taskId === null ? null : await ports.tasks.find(lease.taskId);
  return task !== null && owns(ports.tasks, caller, task);
}

/** Null for who is no administrator, and so a stranger here. Throws `denied`. */
async function asAdministrator(
  ports: AuthorPorts,
  caller: Caller,
  action: AdministrativeAction,
  resource: AdministeredResource,
): Promise<Authority | null> {
  const author = authorOfCaller(caller);
  return author === null ? null : ports.core.authorise(author, action, resource);
}
