import { mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EmbeddedError } from "./embedded-error.ts";
import { freePort } from "./free-port.ts";
import { startGuarded, type GuardedProcess, type ProcessExit } from "./guarded-process.ts";
import { settlesWithin, waitUntil } from "./wait-until.ts";

/** What the servers of one process each that listen on one port have in common. */
export interface ServerProcess extends AsyncDisposable {
  readonly host: "127.0.0.1";
  readonly port: number;
  readonly pid: number;
  readonly dir: string;
  /** Settles when the server has ended, for whatever reason; never rejects. */
  readonly exited: Promise<ProcessExit>;
  /** Ends the server (SIGTERM) and waits for its end. */
  stop(): Promise<void>;
  /** Kills the server (SIGKILL) without waiting, as a crash would. */
  kill(): void;
}

export interface ServerLaunch {
  /** As errors call it: `MariaDB`. */
  readonly name: string;
  readonly program: string;
  readonly dir: string;
  /** Whether `stop` removes `dir`. */
  readonly isDirOurs: boolean;
  /** Default: a free one; another, where somebody else was faster. */
  readonly port: number | undefined;
  readonly argumentsAt: (port: number) => readonly string[];
  /** For its standard input. */
  readonly inputAt?: (port: number) => string;
  /** Whether this server, and no other program, answers there. */
  readonly answersAt: (port: number) => Promise<boolean>;
  /** In the server's last words, where its port is taken. */
  readonly portTaken: RegExp;
  readonly startMs: number;
  readonly graceMs: number;
  readonly everyMs: number;
  readonly log: (line: string) => void;
}

const STARTS_MAX = 6;

/** The real path of `dir`, which is made when absent; without one, of a new directory. */
export async function serverDirectory(dir: string | undefined, name: string): Promise<string> {
  if (dir === undefined) return realpath(await mkdtemp(join(tmpdir(), `mayfly-${name}-`)));
  await mkdir(dir, { recursive: true });
  return realpath(dir);
}

/** @throws EmbeddedError with the server's last words where it does not come to answer in time */
export async function launchServer(wanted: ServerLaunch): Promise<ServerProcess> {
  const { server, port } = await launch(wanted);
  const stop = async (): Promise<void> => {
    server.signal("SIGTERM");
    if (!(await settlesWithin(server.exited, wanted.graceMs))) server.signal("SIGKILL");
    await server.exited;
    if (wanted.isDirOurs) await rm(wanted.dir, { recursive: true, force: true });
  };
  return {
    host: "127.0.0.1",
    port,
    pid: server.pid,
    dir: wanted.dir,
    exited: server.exited,
    stop,
    kill: () => {
      server.signal("SIGKILL");
    },
    [Symbol.asyncDispose]: stop,
  };
}

async function launch(wanted: ServerLaunch): Promise<{ server: GuardedProcess; port: number }> {
  for (let start = 1; ; start++) {
    const port = wanted.port ?? (await freePort());
    const server = await startGuarded({
      command: wanted.program,
      args: wanted.argumentsAt(port),
      parentDeathSignal: "TERM",
      user: undefined,
      env: undefined,
      input: wanted.inputAt?.(port),
      log: wanted.log,
    });
    const outcome = await waitUntil(
      async () => {
        if (server.hasEnded()) return "ended" as const;
        return (await wanted.answersAt(port)) ? ("ready" as const) : undefined;
      },
      { deadlineMs: wanted.startMs, everyMs: wanted.everyMs },
    );
    if (outcome === "ready") return { server, port };
    if (outcome === undefined) server.signal("SIGKILL");
    await server.exited;
    const words = (await server.lastWords()).join(" | ");
    const isPortTaken = wanted.portTaken.test(words);
    if (isPortTaken && wanted.port === undefined && start < STARTS_MAX) continue;
    throw new EmbeddedError({
      what: `${wanted.name} did not start`,
      where: `${wanted.dir}, port ${port}`,
      why: `${outcome === undefined ? "it took too long" : "it ended"}; its last lines: ${words}`,
      remedy: "Look at the last lines; a port in use is the usual cause.",
    });
  }
}
