import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { launchServer, serverDirectory, type ServerProcess } from "./launch-server.ts";
import { programOnPath } from "./program-on-path.ts";
import { refuseUnknownKeys } from "./refuse-unknown-keys.ts";
import { claim, endEarlierServer } from "./server-owner.ts";
import { settlesWithin } from "./wait-until.ts";

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

export interface EmbeddedRedis extends ServerProcess {
  readonly missing?: never;
  /** As the server says it, e.g. `7.0.15`. */
  readonly version: string;
  readonly password: string;
  /** A connection URL. It holds the password: never log it. */
  readonly url: string;
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

const startDeadlineMs = 60_000;
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
  const dir = await serverDirectory(options.dir, "redis");
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
  const server = await launchServer({
    name: "Redis",
    program,
    dir,
    isDirOurs: options.dir === undefined,
    port: options.port,
    argumentsAt: () => ["-"],
    inputAt: (port) => configuration({ ...options, dir, password }, port),
    answersAt: (port) => answers(port, password),
    portTaken: /Address already in use|Failed listening on port/,
    startMs: startDeadlineMs,
    graceMs,
    everyMs: 10,
    log,
  });
  const url = `redis://:${password}@127.0.0.1:${server.port}`;
  return { ...server, version, password, url };
}

async function versionOf(program: string): Promise<string> {
  const { stdout } = await run(program, ["--version"]);
  return /\bv=(\S+)/.exec(stdout)?.[1] ?? "unknown";
}

interface Launch extends RedisOptions {
  readonly dir: string;
  readonly password: string;
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
