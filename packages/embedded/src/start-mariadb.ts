import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, realpath, rm, stat, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { hostname, tmpdir } from "node:os";
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

export interface MariadbOptions {
  /** Where its data is; made when absent. Default: a new one, removed by `stop`. */
  readonly dir?: string;
  /** Default: a free one. */
  readonly port?: number;
  /** Variables of the server, as its manual names them. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Receives each line that the server logs. Default: nowhere. */
  readonly log?: (line: string) => void;
}

export interface EmbeddedMariadb extends AsyncDisposable {
  readonly missing?: never;
  readonly host: "127.0.0.1";
  readonly port: number;
  readonly pid: number;
  readonly dir: string;
  /** Of `root`, who may do everything. */
  readonly password: string;
  /** Settles when the server has ended, for whatever reason; never rejects. */
  readonly exited: Promise<ProcessExit>;
  /** Ends the server (SIGTERM) and waits for its end. */
  stop(): Promise<void>;
  /** Kills the server (SIGKILL) without waiting, as a crash would. */
  kill(): void;
}

/** The machine has no `mariadbd`, which is no error: look at `missing` first. */
export interface MariadbMissing {
  readonly missing: "mariadbd";
}

const optionNames = [
  "dir",
  "port",
  "settings",
  "log",
] as const satisfies readonly (keyof MariadbOptions)[];

const startDeadlineMs = 60_000;
const startsMax = 6;
const graceMs = 20_000;
const lookMs = 1_000;

/**
 * Starts a real MariaDB, if the machine has one, that listens on 127.0.0.1 only. As the other
 * servers, it ends with this process, and one that was left behind in the same directory is ended
 * first. Commits are not flushed: no test of these loses its machine.
 * @throws EmbeddedError
 */
export async function startMariadb(
  options: MariadbOptions = {},
): Promise<EmbeddedMariadb | MariadbMissing> {
  refuseUnknownKeys(options, optionNames, "startMariadb");
  const [program, installer] = await Promise.all(
    ["mariadbd", "mariadb-install-db"].map((name) => programOnPath(name)),
  );
  if (program === undefined || installer === undefined) return { missing: "mariadbd" };
  const log = options.log ?? (() => undefined);
  const dir = await placeOf(options.dir);
  await endEarlierServer({
    directory: join(dir, "data"),
    program: "mariadbd",
    pidFile: "mariadb.pid",
    signals: [
      { signal: "SIGTERM", graceMs },
      { signal: "SIGKILL", graceMs },
    ],
    log,
  });
  await initialise(installer, dir);
  await claim(join(dir, "data"));
  const password = randomBytes(24).toString("base64url");
  await writeFile(join(dir, "init.sql"), initialisation(password), { mode: 0o600 });
  const { server, port } = await launch({ ...options, dir, program, log });
  const stop = async (): Promise<void> => {
    server.signal("SIGTERM");
    if (!(await settlesWithin(server.exited, graceMs))) server.signal("SIGKILL");
    await server.exited;
    if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
  };
  return {
    host: "127.0.0.1",
    port,
    pid: server.pid,
    dir,
    password,
    exited: server.exited,
    stop,
    kill: () => {
      server.signal("SIGKILL");
    },
    [Symbol.asyncDispose]: stop,
  };
}

async function placeOf(dir: string | undefined): Promise<string> {
  if (dir === undefined) return realpath(await mkdtemp(join(tmpdir(), "mayfly-mariadb-")));
  await mkdir(dir, { recursive: true });
  return realpath(dir);
}

/** MariaDB runs as root only where it is told so, and there is no need of another user here. */
const asWhom = (): readonly string[] => (process.getuid?.() === 0 ? ["--user=root"] : []);

async function initialise(installer: string, dir: string): Promise<void> {
  const data = join(dir, "data");
  if (await stat(join(data, "mysql")).catch(() => undefined)) return;
  try {
    await run(
      installer,
      [
        "--no-defaults",
        `--datadir=${data}`,
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        "--skip-name-resolve",
        ...asWhom(),
      ],
      // Each start of a server takes away what looks like its temporary tables, others' too.
      { timeout: startDeadlineMs, maxBuffer: 1_048_576, env: { ...process.env, TMPDIR: dir } },
    );
  } catch (thrown) {
    throw new EmbeddedError({
      what: "MariaDB's data directory was not made",
      where: data,
      why: thrown instanceof Error ? thrown.message.slice(0, 500) : "unknown",
      remedy: "Run mariadb-install-db by hand, and look at what it says.",
    });
  }
}

/** One statement a line, which the server runs before it listens. */
const initialisation = (password: string): string =>
  [
    `ALTER USER root@localhost IDENTIFIED BY '${password}'`,
    `CREATE USER IF NOT EXISTS root@'127.0.0.1'`,
    `GRANT ALL PRIVILEGES ON *.* TO root@'127.0.0.1' IDENTIFIED BY '${password}' WITH GRANT OPTION`,
    "DROP USER IF EXISTS root@'::1'",
    `DROP USER IF EXISTS root@'${hostname().toLowerCase()}'`,
  ]
    .map((statement) => `${statement};\n`)
    .join("");

interface Launch extends MariadbOptions {
  readonly dir: string;
  readonly program: string;
  readonly log: (line: string) => void;
}

async function launch(wanted: Launch): Promise<{ server: GuardedProcess; port: number }> {
  for (let start = 1; ; start++) {
    const port = wanted.port ?? (await freePort());
    const server = await startGuarded({
      command: wanted.program,
      args: argumentsOf(wanted, port),
      parentDeathSignal: "TERM",
      user: undefined,
      env: undefined,
      input: undefined,
      log: wanted.log,
    });
    const outcome = await waitUntil(
      async () => {
        if (server.hasEnded()) return "ended" as const;
        return (await greets(port)) ? ("ready" as const) : undefined;
      },
      { deadlineMs: startDeadlineMs, everyMs: 50 },
    );
    if (outcome === "ready") return { server, port };
    if (outcome === undefined) server.signal("SIGKILL");
    await server.exited;
    const words = (await server.lastWords()).join(" | ");
    const isPortTaken = /Address already in use|already running on port/.test(words);
    if (isPortTaken && wanted.port === undefined && start < startsMax) continue;
    throw new EmbeddedError({
      what: "MariaDB did not start",
      where: `${wanted.dir}, port ${port}`,
      why: `${outcome === undefined ? "it took too long" : "it ended"}; its last lines: ${words}`,
      remedy: "Look at the last lines; a port in use is the usual cause.",
    });
  }
}

function argumentsOf({ dir, settings = {} }: Launch, port: number): readonly string[] {
  const data = join(dir, "data");
  return [
    "--no-defaults",
    ...asWhom(),
    `--datadir=${data}`,
    `--tmpdir=${dir}`,
    `--port=${port}`,
    "--bind-address=127.0.0.1",
    `--socket=${join(dir, "socket")}`,
    `--pid-file=${join(data, "mariadb.pid")}`,
    `--init-file=${join(dir, "init.sql")}`,
    "--skip-name-resolve",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
    "--innodb-flush-log-at-trx-commit=0",
    "--aria-pagecache-buffer-size=8M",
    "--key-buffer-size=1M",
    ...Object.entries(settings).map(([name, value]) => `--${name}=${value}`),
  ];
}

/** Whether a MariaDB greets on the port: its version is in the first packet. */
async function greets(port: number): Promise<boolean> {
  const socket = connect({ host: "127.0.0.1", port });
  try {
    let text = "";
    const greeting = new Promise<void>((resolve, reject) => {
      socket.on("data", (bytes: Buffer) => {
        text = bytes.toString("latin1");
        resolve();
      });
      socket.once("error", reject);
      socket.once("close", () => reject(new Error("closed")));
    });
    return (await settlesWithin(greeting, lookMs)) && text.includes("MariaDB");
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
