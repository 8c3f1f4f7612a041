import { spawn, type ChildProcess } from "node:child_process";
import { constants } from "node:os";

/** How the command ended, as a shell would say it. */
export interface ChildEnd {
  /** Its own; 128 and the signal's number; 127 not found; 126 not executable. */
  readonly exitCode: number;
  /** Why the task ends as it does: `exit 3`, `SIGTERM`, `not found`. */
  readonly how: string;
  /** Null where it ran; why it did not, otherwise. */
  readonly notRun: "not found" | "not executable" | null;
}

export interface RunningChild {
  readonly pid: number | null;
  readonly ended: Promise<ChildEnd>;
  signal(name: NodeJS.Signals): void;
}

const NOT_EXECUTABLE = 126;
const NOT_FOUND = 127;
const BY_SIGNAL = 128;

/** Starts it in our place: same input, output, errors and terminal. No shell reads the words. */
export function runChild(
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
): RunningChild {
  const child = started(command, args, environment);
  if (child instanceof Error) return { pid: null, ended: ending(child), signal: () => undefined };
  const ended = new Promise<ChildEnd>((resolve) => {
    child.once("error", (error) => {
      // Also when a signal could not be sent; then it is running.
      if (child.pid === undefined) resolve(refused(error));
    });
    child.once("exit", (code, signal) => resolve(endedWith(code, signal)));
  });
  return {
    pid: child.pid ?? null,
    ended,
    signal: (name) => {
      child.kill(name);
    },
  };
}

/** Some refusals are thrown and not told: a NUL in an argument, too many arguments. */
function started(
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
): ChildProcess | Error {
  try {
    return spawn(command, [...args], { env: { ...environment }, stdio: "inherit" });
  } catch (error) {
    return error instanceof Error ? error : new Error("it cannot be started");
  }
}

const ending = (error: Error): Promise<ChildEnd> => Promise.resolve(refused(error));

function refused(error: Error): ChildEnd {
  const code = "code" in error ? error.code : null;
  return code === "ENOENT"
    ? { exitCode: NOT_FOUND, how: "not found", notRun: "not found" }
    : { exitCode: NOT_EXECUTABLE, how: "not executable", notRun: "not executable" };
}

function endedWith(code: number | null, signal: NodeJS.Signals | null): ChildEnd {
  if (signal === null) return { exitCode: code ?? 0, how: `exit ${code ?? 0}`, notRun: null };
  return { exitCode: BY_SIGNAL + constants.signals[signal], how: signal, notRun: null };
}
