import { connect } from "./connection.ts";
import { exchange, type Presented } from "./exchange.ts";
import { chooseIdentity, presentIdentity } from "./identity/present-identity.ts";
import { whyRefused } from "./refused-identity.ts";
import { runInTask } from "./run-in-task.ts";
import { Secret } from "./secret.ts";
import type { Surroundings } from "./surroundings.ts";
import { systemSurroundings } from "./system-surroundings.ts";
import { checkTaskOptions, describe, type TaskOptions } from "./task-options.ts";
import { TaskSession } from "./task-session.ts";
import { Task } from "./task.ts";

/**
 * Opens a task and keeps it alive until it is ended: by `complete`, `fail` or `cancel`, or, with
 * `await using`, when its block is left. Throws {@link MayflyError}.
 */
export const openTask = (options: TaskOptions): Promise<Task> =>
  openTaskIn(systemSurroundings, options);

/**
 * Opens a task, runs `run` with it, and ends it: completed when `run` returns, failed when it
 * throws, cancelled at SIGTERM, SIGINT and SIGHUP. What `run` answers or throws comes out as it is,
 * but for an answer that came after the task was killed, expired or lost: then `task_lost` does.
 */
export const withTask = <T>(
  options: TaskOptions,
  run: (task: Task) => Promise<T> | T,
): Promise<T> => withTaskIn(systemSurroundings, options, run);

export async function withTaskIn<T>(
  around: Surroundings,
  options: TaskOptions,
  run: (task: Task) => Promise<T> | T,
): Promise<T> {
  return runInTask(await openTaskIn(around, options), options, around, run);
}

export async function openTaskIn(around: Surroundings, options: TaskOptions): Promise<Task> {
  checkTaskOptions(options);
  const { signal, onBehalfOf } = options;
  const connection = await connect(options, around, signal);
  const source = await chooseIdentity(options.identity, around, signal);
  const own = await presentIdentity(source, connection.issuer, around, signal);
  const presented: Presented =
    onBehalfOf === undefined
      ? { subject: own, subjectIs: "jwt", actor: null }
      : { subject: secretOf(onBehalfOf), subjectIs: "jwt", actor: own };
  const details = describe(options, null);
  const opened = await exchange(connection, presented, details, around, signal).catch(
    (error: unknown) => {
      throw whyRefused(error, own, around);
    },
  );
  return new Task(new TaskSession(connection, source, opened, around), opened, options);
}

const secretOf = (token: string | Secret): Secret =>
  typeof token === "string" ? new Secret(token) : token;
