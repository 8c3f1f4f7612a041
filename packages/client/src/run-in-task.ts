import type { EndedTask } from "./ended-task.ts";
import { MayflyError } from "./mayfly-error.ts";
import type { Surroundings } from "./surroundings.ts";
import type { TaskConduct } from "./task-options.ts";
import type { Task } from "./task.ts";

/**
 * Runs `run` and ends the task whatever comes of it: completed when it returns, failed when it
 * throws. What `run` threw is what the caller gets; what it answered, unless the task was over by
 * then without being asked to: that rejects with `task_lost`, as work of a killed task is no
 * success. An end that was not confirmed is a warning, since the broker ends the task by its idle
 * timeout all the same.
 */
export async function runInTask<T>(
  task: Task,
  conduct: TaskConduct,
  around: Surroundings,
  run: (task: Task) => Promise<T> | T,
): Promise<T> {
  let result: T;
  try {
    result = await run(task);
  } catch (error) {
    await settled(task, around, () => task.fail(reasonOf(error, conduct)));
    // Where it is the very refusal that told us, once is enough.
    if (task.lost !== null && task.lost !== error && task.lost.cause !== error) {
      around.warn(task.lost);
    }
    throw error;
  }
  const wasOpen = task.isOpen;
  const ended = await settled(task, around, () => task.complete());
  if (task.lost !== null) throw task.lost;
  if (wasOpen && ended !== null && ended.state !== "completed") {
    throw endedElsewhere(task.id, ended.state);
  }
  return result;
}

/** Null: nobody confirmed the end. */
async function settled(
  task: Task,
  around: Surroundings,
  end: () => Promise<EndedTask>,
): Promise<EndedTask | null> {
  try {
    return await end();
  } catch (error) {
    around.warn(unconfirmed(task.id, error));
    return null;
  }
}

/** The class of an error, never its text unless it is asked for: a text may hold anything. */
function reasonOf(error: unknown, { reportErrorText }: TaskConduct): string {
  if (!(error instanceof Error)) return "something was thrown";
  const name = MayflyError.is(error) ? `${error.name} ${error.code}` : error.name;
  return reportErrorText === true ? `${name}: ${error.message}` : name;
}

export const unconfirmed = (id: string, cause: unknown): MayflyError =>
  new MayflyError({
    code: "end_unconfirmed",
    what:
      `The end of ${id} was not confirmed: ` +
      `${MayflyError.is(cause) ? cause.what : "it failed"} ` +
      "Its credentials live until its idle timeout has passed.",
    hint: `Look with: mayfly task show ${id}`,
    cause,
  });

const endedElsewhere = (id: string, state: string): MayflyError =>
  new MayflyError({
    code: "task_lost",
    what: `The task ${id} was not completed: before it was said to be done it was ${state}.`,
    hint: `Look with: mayfly task show ${id}`,
  });
