import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { EmbeddedError } from "./embedded-error.ts";
import { freePort } from "./free-port.ts";
import { startGuarded, type GuardedProcess, type ProcessExit } from "./guarded-process.ts";
import { programOnPath } from "./program-on-path.ts";
import { refuseUnknownKeys } from "./refuse-unknown-keys.ts";
import { claim, endEarlierServer } from "./server-owner.ts";
import { settlesWithin, waitUntil } from "./wait-until.ts";

const run = promisify(execFile);

export interface RedisOptions {
  /** Where its files are; made when absent. Default: a new one, removed by `stop`. */
  readonly dir?: string;
  /** Default: a free one. */
  readonly port?: number;
  /** Default: a random one. A server that takes another's place needs that one's. */
  readonly password?: string;
  /** Whether each write goes to a log that outlives the server. Default: false, nothing does. */
  readonly appendonly?: boolean;
  /** Default: `notice`. */
  readonly loglevel?: "debug" | "verbose" | "notice" | "warning";
  /** Receives each line that the server logs. Default: nowhere. */
  readonly log?: (line: string) => void;
}

export interface EmbeddedRedis extends AsyncDisposable {
  readonly missing?: never;
  /** As the server says it, e.g. `7.0.15`. */
  readonly version: string;
  readonly host: "127.0.0.1";
  readonly port: number;
  readonly pid: number;
  readonly dir: string;
  readonly password: string;
  /** A connection URL. It holds the password: never log it. */
  readonly url: string;
  /** Settles when the server has ended, for whatever reason; never rejects. */
  readonly exited: Promise<ProcessExit>;
  /** Ends the server (SIGTERM) and waits for its end. */
  stop(): Promise<void>;
  /** Kills the server (SIGKILL) without waiting, as a crash would. */
  kill(): void;
}

/** The machine has no `redis-server`, which is no error: look at `missing` first. */
export interface RedisMissing {
  readonly missing: "redis-server";
}

const optionNames = [
  "dir",
  "port",
  "password",
  "appendonly",
  "loglevel",
  "log",
] as const satisfies readonly (keyof RedisOptions)[];

const startDeadlineMs = 20_000;
const startsMax = 6;
const graceMs = 10_000;
const replyDeadlineMs = 1_000;

/**
 * Starts a real Redis, if the machine has one, that listens on 127.0.0.1 only and asks for a
 * password. As with PostgreSQL, it ends with this process, and one that was left behind in the
 * same directory is ended first.
 * @throws EmbeddedError
 */
export async function startRedis(
  options: RedisOptions = {},
): Promise<EmbeddedRedis | RedisMissing> {
  refuseUnknownKeys(options, optionNames, "startRedis");
  const program = await programOnPath("redis-server");
  if (program === undefined) return { missing: "redis-server" };
  const log = options.log ?? (() => undefined);
  const dir = await placeOf(options.dir);
  await endEarlierServer({
    directory: dir,
    // Debian's redis-server is a link to redis-check-rdb: the beginning is all that is sure.
    program: "redis",
    pidFile: "redis.pid",
    signals: [
      { signal: "SIGTERM", graceMs },
      { signal: "SIGKILL", graceMs },
    ],
    log,
  });
  await claim(dir);
  const version = await versionOf(program);
  const password = options.password ?? randomBytes(24).toString("base64url");
  const { server, port } = await launch({ ...options, dir, program, password, log });
  const stop = async (): Promise<void> => {
    server.signal("SIGTERM");
    if (!(await settlesWithin(server.exited, graceMs))) server.signal("SIGKILL");
    await server.exited;
    if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
  };
  return {
    version,
    host: "127.0.0.1",
    port,
    pid: server.pid,
    dir,
    password,
    url: `redis://:${password}@127.0.0.1:${port}`,
    exited: server.exited,
    stop,
    kill: () => {
      server.signal("SIGKILL");
    },
    [Symbol.asyncDispose]: stop,
  };
}

async function placeOf(dir: string | undefined): Promise<string> {
  if (dir === undefined) return realpath(await mkdtemp(join(tmpdir(), "mayfly-redis-")));
  await mkdir(dir, { recursive: true });
  return realpath(dir);
}

async function versionOf(program: string): Promise<string> {
  const { stdout } = await run(program, ["--version"]);
  return /\bv=(\S+)/.exec(stdout)?.[1] ?? "unknown";
}

interface Launch extends RedisOptions {
  readonly dir: string;
  readonly program: string;
  readonly password: string;
  readonly log: (line: string) => void;
}

interface Launched {
  readonly server: GuardedProcess;
  readonly port: number;
}

async function launch(wanted: Launch): Promise<Launched> {
  for (let start = 1; ; start++) {
    const port = wanted.port ?? (await freePort());
    const server = await startGuarded({
      command: wanted.program,
      args: ["-"],
      parentDeathSignal: "TERM",
      user: undefined,
      env: undefined,
      input: configuration(wanted, port),
      log: wanted.log,
    });
    const outcome = await waitUntil(
      async () => {
        if (server.hasEnded()) return "ended" as const;
        return (await answers(port, wanted.password)) ? ("ready" as const) : undefined;
      },
      { deadlineMs: startDeadlineMs, everyMs: 10 },
    );
    if (outcome === "ready") return { server, port };
    if (outcome === undefined) server.signal("SIGKILL");
    await server.exited;
    const words = (await server.lastWords()).join(" | ");
    const portTaken = /Address already in use|Failed listening on port/.test(words);
    if (portTaken && wanted.port === undefined && start < startsMax) continue;
    throw new EmbeddedError({
      what: "Redis did not start",
      where: `${wanted.dir}, port ${port}`,
      why: `${outcome === undefined ? "it took too long" : "it ended"}; its last lines: ${words}`,
      remedy: "Look at the last lines; a port in use is the usual cause.",
    });
  }
}

/** Goes to standard input (`redis-server -`), so that no list of processes shows the password. */
function configuration(wanted: Launch, port: number): string {
  const lines = [
    ["bind", "127.0.0.1"],
    ["port", String(port)],
    ["dir", wanted.dir],
    ["pidfile", join(wanted.dir, "redis.pid")],
    ["requirepass", wanted.password],
    ["daemonize", "no"],
    ["logfile", ""],
    ["loglevel", wanted.loglevel ?? "notice"],
    ["save", ""],
    ["appendonly", wanted.appendonly === true ? "yes" : "no"],
    // A queue must refuse a job rather than forget another.
    ["maxmemory-policy", "noeviction"],
  ];
  return lines.map(([name = "", value = ""]) => `${name} ${JSON.stringify(value)}\n`).join("");
}

/** Whether the Redis with this password, and no other program, answers on the port. */
async function answers(port: number, password: string): Promise<boolean> {
  const socket = connect({ host: "127.0.0.1", port });
  try {
    const reply = new Promise<string>((resolve, reject) => {
      let text = "";
      socket.setEncoding("utf8");
      socket.on("data", (chunk: string) => {
        text += chunk;
        if (text.split("\r\n").length > 2) resolve(text);
      });
      socket.once("error", reject);
      socket.once("close", () => {
        reject(new Error("the connection was closed"));
      });
    });
    socket.write(`AUTH ${password}\r\nPING\r\n`);
    let text = "";
    const inTime = await settlesWithin(
      reply.then((all) => {
        text = all;
      }),
      replyDeadlineMs,
    );
    return inTime && text.startsWith("+OK\r\n+PONG\r\n");
  } catch {
    // Refused or closed: nobody listens yet, or somebody else does.
    return false;
  } finally {
    socket.destroy();
  }
}
