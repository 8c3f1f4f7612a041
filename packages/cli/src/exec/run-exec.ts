import { basename } from "node:path";
import { openTask, type Credential, type EndedTask, type Task } from "@mayfly/client";
import type { Clock } from "@mayfly/spec";
import { toCliError } from "../cli-error.ts";
import { childEnvironment } from "./child-environment.ts";
import { credentialVariables, type Variables } from "./credential-variables.ts";
import type { FactFile } from "./fact-file.ts";
import { keepRenewed } from "./keep-renewed.ts";
import { passSignals, type PassedSignals } from "./pass-signals.ts";
import { runChild, type ChildEnd, type RunningChild } from "./run-child.ts";
import type { WantedRole } from "./wanted-role.ts";

type OpenOptions = Parameters<typeof openTask>[0];

export interface ExecRequest {
  readonly command: string;
  readonly args: readonly string[];
  readonly roles: readonly WantedRole[];
  /** All but the credentials, which follow from the roles. */
  readonly task: OpenOptions;
  readonly terminateWhenLost: boolean;
}

export interface ExecSurroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly facts: FactFile;
  /** Whether a terminal sends its signals to the command as well as to us. */
  readonly hasTerminal: boolean;
  /** One line for a person, on standard error. */
  warn(text: string): void;
}

/** Between asking a command to end, when its task is lost, and ending it. */
const GRACE_MS = 10_000;

/**
 * Opens a task, runs the command with its credentials, ends the task. Answers how this process has
 * to end. Whatever happens to the command, to us or to the task, the task is ended, or ends by
 * itself for want of heartbeats.
 */
export async function runExec(request: ExecRequest, around: ExecSurroundings): Promise<number> {
  const signals = passSignals(around.hasTerminal);
  try {
    const task = await opened(request, signals);
    if (typeof task === "number") return task;
    around.facts.write(openedFact(task));
    return await runWith(task, request, around, signals);
  } finally {
    signals.stop();
    around.facts.close();
  }
}

/** The task, or how to end when a signal came before there was one. */
async function opened(request: ExecRequest, signals: PassedSignals): Promise<Task | number> {
  try {
    return await openTask({
      ...request.task,
      credentials: request.roles.map(({ role }) => role),
      endOnSignals: false,
      signal: signals.beforeCommand,
    });
  } catch (error) {
    const early = signals.early();
    if (early !== null) return early;
    throw error;
  }
}

async function runWith(
  task: Task,
  request: ExecRequest,
  around: ExecSurroundings,
  signals: PassedSignals,
): Promise<number> {
  let end: ChildEnd;
  try {
    const variables = variablesOf(task.credentials, request.roles);
    const early = signals.early();
    if (early !== null) {
      await ended(task, () => task.cancel("a signal"), around);
      return early;
    }
    const environment = childEnvironment(around.environment, variables);
    end = await ranToItsEnd(task, request, environment, around, signals);
  } catch (error) {
    await ended(task, () => task.fail("the command was not started"), around);
    throw error;
  }
  const isDone = end.exitCode === 0;
  const last = isDone ? () => task.complete() : () => task.fail(end.how);
  await ended(task, last, around, end);
  if (end.notRun !== null) around.warn(`mayfly: ${request.command}: ${end.notRun}`);
  return end.exitCode;
}

async function ranToItsEnd(
  task: Task,
  request: ExecRequest,
  environment: Readonly<Record<string, string>>,
  around: ExecSurroundings,
  signals: PassedSignals,
): Promise<ChildEnd> {
  const child = runChild(request.command, request.args, environment);
  signals.passTo(child);
  around.facts.write({ fact: "command_started", task: task.id, pid: child.pid });
  const over = new AbortController();
  const watch = whenLost(task, child, request.terminateWhenLost, around, over.signal);
  task.signal.addEventListener("abort", watch, { once: true });
  keepRenewed(task, around, over.signal);
  try {
    return await child.ended;
  } finally {
    over.abort();
    task.signal.removeEventListener("abort", watch);
  }
}

const whenLost =
  (
    task: Task,
    child: RunningChild,
    terminate: boolean,
    around: ExecSurroundings,
    over: AbortSignal,
  ) =>
  (): void => {
    const why = task.lost?.message ?? `The task ${task.id} is over.`;
    around.warn(`mayfly: ${why}`);
    around.facts.write({ fact: "task_lost", task: task.id, code: task.lost?.code ?? null });
    if (!terminate) return;
    around.warn("mayfly: the command is told to end");
    child.signal("SIGTERM");
    around.clock.sleep(GRACE_MS, over).then(
      () => child.signal("SIGKILL"),
      () => undefined,
    );
  };

function variablesOf(credentials: readonly Credential[], roles: readonly WantedRole[]): Variables {
  const all = roles.flatMap(({ role, prefix }) => {
    const credential = credentials.find((one) => one.role === role);
    return credential === undefined ? [] : Object.entries(credentialVariables(credential, prefix));
  });
  return Object.fromEntries(all);
}

/** Ends the task. That it could not be said is told, and does not change how the command ended. */
async function ended(
  task: Task,
  end: () => Promise<EndedTask>,
  around: ExecSurroundings,
  child: ChildEnd | null = null,
): Promise<void> {
  const fact = { fact: "task_ended", task: task.id, exit_code: child?.exitCode ?? null };
  try {
    const { state, leases } = await end();
    around.facts.write({ ...fact, state, leases: leases.map(leaseFact) });
    const alive = leases.filter(({ exposure }) => exposure !== "none");
    if (alive.length > 0) {
      const ids = alive.map(({ lease }) => lease).join(", ");
      around.warn(`mayfly: not seen to be dead yet: ${ids}; the broker goes on with it`);
    }
  } catch (error) {
    const { parts } = toCliError(error);
    around.facts.write({ ...fact, state: "unknown", code: parts.code });
    around.warn(
      `mayfly: the end of ${task.id} was not confirmed: ${parts.what} ` +
        `It ends ${task.idleTimeoutSeconds} s after its last heartbeat.`,
    );
  }
}

const leaseFact = (lease: EndedTask["leases"][number]): Record<string, unknown> => ({
  lease: lease.lease,
  role: lease.role,
  state: lease.state,
  outcome: lease.outcome,
  exposure: lease.exposure,
  exposed_until: lease.exposedUntil?.toISOString() ?? null,
});

const openedFact = (task: Task): Record<string, unknown> => ({
  fact: "task_opened",
  task: task.id,
  deadline: task.deadline.toISOString(),
  idle_timeout_seconds: task.idleTimeoutSeconds,
  credentials: task.credentials.map(({ lease, role, kind, expiresAt }) => ({
    lease,
    role,
    kind,
    expires_at: expiresAt.toISOString(),
  })),
});

/** The command's name and no argument: those may hold anything, and the ledger keeps it. */
export const defaultGoal = (command: string): string =>
  `mayfly exec ${basename(command)}`.slice(0, 200);
