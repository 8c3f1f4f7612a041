import { spawn } from "node:child_process";
import type { Writable } from "node:stream";
import { once } from "node:events";
import { Socket } from "node:net";
import { EmbeddedError, reasonOf } from "./embedded-error.ts";
import { lineSplitter, newestLines } from "./log-lines.ts";
import type { OsUser } from "./os-user.ts";
import { settlesWithin } from "./wait-until.ts";

/**
 * The shell starts a guard, and becomes the server by `exec`, so that the child's process id is
 * the server's. The guard reads from descriptor 3, whose other end only this process holds: a
 * word means that the server ended, the end of the file that this process did, however it died.
 * The guard is forked twice, because PostgreSQL takes the death of an unknown child for a crash.
 */
const guardedStart = `
( ( read -r ended <&3 || kill -s "$0" $$ ) >/dev/null 2>&1 & )
exec "$@" 3<&-`;

const linesKept = 20;
const drainDeadlineMs = 500;

export interface GuardedProcessOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** What the guard sends the server when this process dies. */
  readonly parentDeathSignal: "INT" | "TERM" | "KILL";
  /** Whom to run as; `undefined` is whoever we are. */
  readonly user: OsUser | undefined;
  /** The whole environment of the server; `undefined` hands ours on. */
  readonly env: Readonly<Record<string, string>> | undefined;
  /** What the server reads on its standard input; `undefined` is nothing. */
  readonly input: string | undefined;
  readonly log: (line: string) => void;
}

export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A server process that does not outlive this one. */
export interface GuardedProcess {
  readonly pid: number;
  /** Settles when the process has ended; never rejects. */
  readonly exited: Promise<ProcessExit>;
  hasEnded(): boolean;
  /** Signals the process, unless it has ended (so never a stranger that got its id). */
  signal(signal: NodeJS.Signals): void;
  /** Its newest log lines, after what is still in the pipe has had a moment to arrive. */
  lastWords(): Promise<string[]>;
}

/**
 * Starts a server in a session of its own, so that Ctrl-C in a terminal reaches this process and
 * not the server, which is still needed while this process tidies up.
 * @throws EmbeddedError when the process cannot be started at all.
 */
export async function startGuarded(options: GuardedProcessOptions): Promise<GuardedProcess> {
  const { command, args, parentDeathSignal, user, env, input, log } = options;
  const child = spawn("/bin/sh", ["-c", guardedStart, parentDeathSignal, command, ...args], {
    cwd: "/",
    detached: true,
    stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe", "pipe"],
    ...(env === undefined ? {} : { env }),
    ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
  });
  const words = newestLines(linesKept);
  const onLine = (line: string): void => {
    words.add(line);
    log(line);
  };
  const outputs = [child.stdout, child.stderr].filter((output) => output !== null);
  for (const output of outputs) {
    output.setEncoding("utf8");
    output.on("data", lineSplitter(onLine));
  }
  const drained = Promise.all(outputs.map((output) => once(output, "close")));
  drained.catch(() => undefined);
  try {
    await once(child, "spawn");
  } catch (thrown) {
    throw notStarted(command, user, thrown);
  }
  if (child.pid === undefined) throw notStarted(command, user, "it has no process id");
  const { pid } = child;
  const guard = child.stdio[3];
  let ended = false;
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once("exit", (code, signal) => {
      ended = true;
      if (guard instanceof Socket) feed(guard.resume(), "ended\n");
      resolve({ code, signal });
    });
  });
  if (child.stdin !== null && input !== undefined) feed(child.stdin, input);
  return {
    pid,
    exited,
    hasEnded: () => ended,
    signal: (signal) => {
      child.kill(signal);
    },
    lastWords: async () => {
      await settlesWithin(drained, drainDeadlineMs);
      return words.list();
    },
  };
}

/** A reader that is already gone (EPIPE) has made the text needless. */
function feed(pipe: Writable, text: string): void {
  pipe.on("error", () => undefined);
  pipe.end(text);
}

function notStarted(command: string, user: OsUser | undefined, thrown: unknown): EmbeddedError {
  return new EmbeddedError(
    {
      what: "a server process could not be started",
      where: command,
      why: reasonOf(thrown),
      remedy:
        user === undefined
          ? "Check that /bin/sh exists and that more processes are allowed."
          : `Check that this process may become user ${user.name} (in a container: CAP_SETUID).`,
    },
    { cause: thrown },
  );
}
