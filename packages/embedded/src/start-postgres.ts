import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { EmbeddedError } from "./embedded-error.ts";
import { freePort } from "./free-port.ts";
import { startGuarded, type GuardedProcess, type ProcessExit } from "./guarded-process.ts";
import {
  openCluster,
  serverEnvironment,
  superuserName,
  type Cluster,
} from "./initialise-cluster.ts";
import { unprivilegedUser } from "./os-user.ts";
import {
  defaultPostgresVersion,
  postgresBinaries,
  type PostgresVersion,
} from "./postgres-binaries.ts";
import { requireReachable } from "./reachable-directory.ts";
import { refuseUnknownKeys } from "./refuse-unknown-keys.ts";
import { claim, endEarlierServer } from "./server-owner.ts";
import { pauseFor, settlesWithin, waitUntil } from "./wait-until.ts";

export interface PostgresOptions {
  /**
   * Where the data is; made when absent, with a random superuser password that stays with it.
   * When we are root, PostgreSQL runs as another user, who must be able to pass through all
   * directories above (see `reachableDataDir`). Default: a new one in the temporary folder.
   */
  readonly dataDir?: string;
  /** Default 18; 15, 16 and 17 have to be installed first (the error names the command). */
  readonly version?: PostgresVersion;
  /** Default: a free one. */
  readonly port?: number;
  /** Server settings, e.g. `{ max_connections: "200" }`; those that keep it local are refused. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Receives each line that the server logs. Default: nowhere. */
  readonly log?: (line: string) => void;
  /** Whether `stop` leaves the data directory. Default: true, false without `dataDir`. */
  readonly persistent?: boolean;
  /**
   * Turns off fsync, synchronous_commit and full_page_writes: faster, and a crash of the machine
   * may lose or corrupt everything. For tests only. Default: false.
   */
  readonly unsafeNoFsync?: boolean;
}

export interface EmbeddedPostgres extends AsyncDisposable {
  /** As the server says it, e.g. `18.4`. */
  readonly version: string;
  readonly host: "127.0.0.1";
  readonly port: number;
  readonly pid: number;
  readonly dataDir: string;
  readonly superuser: { readonly user: string; readonly password: string };
  /** Settles when the server has ended, for whatever reason; never rejects. */
  readonly exited: Promise<ProcessExit>;
  /** A connection URL; the superuser's without `user`. It holds the password: never log it. */
  url(database: string, user?: string, password?: string): string;
  /**
   * Ends the server and waits for its end. `fast` (the default) ends sessions and writes a
   * checkpoint; `immediate` does neither, so that the next start recovers from the log.
   */
  stop(mode?: "fast" | "immediate"): Promise<void>;
  /** Kills the server (SIGKILL) without waiting, as a crash would. */
  kill(): void;
}

const optionNames = [
  "dataDir",
  "version",
  "port",
  "settings",
  "log",
  "persistent",
  "unsafeNoFsync",
] as const satisfies readonly (keyof PostgresOptions)[];

const startDeadlineMs = 60_000;
const startsMax = 20;
const fastGraceMs = 30_000;
const immediateGraceMs = 10_000;

/** What decides where the server listens and keeps its data is not for `settings` to change. */
const ownSettings = ["port", "listen_addresses", "unix_socket_directories", "data_directory"];

/**
 * Starts a real PostgreSQL that listens on 127.0.0.1 only and asks for passwords. It ends with
 * this process, even when that is killed (SIGKILL). A server that an earlier process nevertheless
 * left behind in the same data directory is ended first; one whose owner lives is an error.
 * @throws EmbeddedError
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<EmbeddedPostgres> {
  refuseUnknownKeys(options, optionNames, "startPostgres");
  refuseOwnSettings(options.settings ?? {});
  refuseWindows();
  const log = options.log ?? (() => undefined);
  const dataDir = await placeOf(options.dataDir);
  const user = await unprivilegedUser(dataDir);
  await requireReachable(user, dirname(dataDir));
  const major = options.version ?? defaultPostgresVersion;
  const binaries = await postgresBinaries(major, user);
  const unsafeNoFsync = options.unsafeNoFsync ?? false;
  const cluster: Cluster = { dataDir, major, binaries, user, unsafeNoFsync, log };
  const leftover = await endEarlierServer({
    directory: dataDir,
    program: "postgres",
    pidFile: "postmaster.pid",
    signals: [
      { signal: "SIGINT", graceMs: fastGraceMs },
      { signal: "SIGQUIT", graceMs: immediateGraceMs },
    ],
    log,
  });
  if (leftover === "stranger") await forgetStranger(dataDir);
  const password = await openCluster(cluster);
  await claim(dataDir);
  const { server, port } = await launch(cluster, options);
  return handle({
    server,
    port,
    cluster,
    password,
    persistent: options.persistent ?? options.dataDir !== undefined,
  });
}

/** The data directory without symbolic links, its parent made. */
async function placeOf(dataDir: string | undefined): Promise<string> {
  if (dataDir === undefined) return realpath(await mkdtemp(join(tmpdir(), "mayfly-postgres-")));
  const wanted = resolve(dataDir);
  await mkdir(dirname(wanted), { recursive: true });
  return join(await realpath(dirname(wanted)), basename(wanted));
}

function refuseOwnSettings(settings: Readonly<Record<string, string>>): void {
  for (const name of Object.keys(settings)) {
    if (/^[a-z][a-z0-9_.]*$/.test(name) && !ownSettings.includes(name)) continue;
    throw new EmbeddedError({
      what: `the setting "${name}" is not accepted`,
      where: "startPostgres, settings",
      why: "it is no lower-case setting name, or it decides where the server listens",
      remedy: "Remove it; the options dataDir and port are there for place and port.",
    });
  }
}

function refuseWindows(): void {
  if (process.platform !== "win32") return;
  throw new EmbeddedError({
    what: "embedded servers do not run on Windows",
    where: process.platform,
    why: "they are kept from outliving their parent by a POSIX shell",
    remedy: "Use WSL or a container.",
  });
}

/**
 * After a crash of the machine the process id in postmaster.pid may be anybody's, and PostgreSQL
 * would take it for a living server. An id that no process can have makes it look on: the rest of
 * the file names the shared memory, by which it sees whether old sessions are still there.
 */
async function forgetStranger(dataDir: string): Promise<void> {
  const file = join(dataDir, "postmaster.pid");
  const [, ...rest] = (await readFile(file, "utf8")).split("\n");
  await writeFile(file, ["2147483646", ...rest].join("\n"));
}

interface Launched {
  readonly server: GuardedProcess;
  readonly port: number;
}

/** What passes by itself: a port that was taken meanwhile, sessions of a killed server. */
const passing = {
  port: /could not bind|could not create any TCP\/IP sockets/,
  sessions: /pre-existing shared memory block|is still in use/,
};

async function launch(cluster: Cluster, options: PostgresOptions): Promise<Launched> {
  for (let start = 1; ; start++) {
    const port = options.port ?? (await freePort());
    const server = await startServer(cluster, port, options.settings ?? {});
    const outcome = await ready(server, cluster.dataDir);
    if (outcome === "ready") return { server, port };
    if (outcome === "late") server.signal("SIGQUIT");
    await server.exited;
    const words = (await server.lastWords()).join(" | ");
    const portTaken = passing.port.test(words) && options.port === undefined;
    const again = portTaken || passing.sessions.test(words);
    if (again && start < startsMax) {
      // A session sees the end of its server when it next waits for something.
      if (!portTaken) await pauseFor(500);
      continue;
    }
    throw new EmbeddedError({
      what: `PostgreSQL ${cluster.binaries.version} did not start`,
      where: `${cluster.dataDir}, port ${port}`,
      why: `${outcome === "late" ? "it took too long" : "it ended"}; its last lines: ${words}`,
      remedy: "Look at the last lines; a port in use and a damaged data directory are usual.",
    });
  }
}

function startServer(
  cluster: Cluster,
  port: number,
  settings: Readonly<Record<string, string>>,
): Promise<GuardedProcess> {
  const all: Record<string, string> = {
    timezone: "UTC",
    log_timezone: "UTC",
    lc_messages: "C",
    // A failed CREATE ROLE … PASSWORD must not be repeated in the log.
    log_min_error_statement: "panic",
    ...(cluster.unsafeNoFsync
      ? { fsync: "off", synchronous_commit: "off", full_page_writes: "off" }
      : {}),
    ...settings,
    port: String(port),
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
  };
  return startGuarded({
    command: cluster.binaries.postgres,
    args: [
      "-D",
      cluster.dataDir,
      ...Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ],
    parentDeathSignal: "INT",
    user: cluster.user,
    env: serverEnvironment,
    input: undefined,
    log: cluster.log,
  });
}

/** postmaster.pid: line 1 is the process, line 8 its state (src/include/utils/pidfile.h). */
async function ready(server: GuardedProcess, dataDir: string): Promise<"ready" | "ended" | "late"> {
  const seen = await waitUntil(
    async () => {
      if (server.hasEnded()) return "ended" as const;
      const text = await readFile(join(dataDir, "postmaster.pid"), "utf8").catch(() => "");
      const lines = text.split("\n");
      const state = lines[7]?.trim();
      return lines[0] === String(server.pid) && state === "ready" ? ("ready" as const) : undefined;
    },
    { deadlineMs: startDeadlineMs, everyMs: 5 },
  );
  return seen ?? "late";
}

interface Running extends Launched {
  readonly cluster: Cluster;
  readonly password: string;
  readonly persistent: boolean;
}

function handle(running: Running): EmbeddedPostgres {
  const { server, port, cluster, password, persistent } = running;
  const superuser = { user: superuserName, password };
  const stop = async (mode: "fast" | "immediate" = "fast"): Promise<void> => {
    if (mode === "fast") server.signal("SIGINT");
    if (mode === "immediate" || !(await settlesWithin(server.exited, fastGraceMs))) {
      server.signal("SIGQUIT");
    }
    if (!(await settlesWithin(server.exited, immediateGraceMs))) server.signal("SIGKILL");
    await server.exited;
    if (!persistent) await rm(cluster.dataDir, { recursive: true, force: true });
  };
  return {
    version: cluster.binaries.version,
    host: "127.0.0.1",
    port,
    pid: server.pid,
    dataDir: cluster.dataDir,
    superuser,
    exited: server.exited,
    url: (database, user, userPassword) => {
      const url = new URL(`postgres://127.0.0.1:${port}/${encodeURIComponent(database)}`);
      url.username = encodeURIComponent(user ?? superuser.user);
      url.password = encodeURIComponent(userPassword ?? (user === undefined ? password : ""));
      return url.href;
    },
    stop,
    kill: () => {
      server.signal("SIGKILL");
    },
    [Symbol.asyncDispose]: () => stop(),
  };
}
