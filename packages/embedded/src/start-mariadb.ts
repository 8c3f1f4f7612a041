import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { stat, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { EmbeddedError } from "./embedded-error.ts";
import { launchServer, serverDirectory, type ServerProcess } from "./launch-server.ts";
import { programOnPath } from "./program-on-path.ts";
import { refuseUnknownKeys } from "./refuse-unknown-keys.ts";
import { claim, endEarlierServer } from "./server-owner.ts";
import { settlesWithin } from "./wait-until.ts";

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

export interface EmbeddedMariadb extends ServerProcess {
  readonly missing?: never;
  /** Of `root`, who may do everything. */
  readonly password: string;
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
  const dir = await serverDirectory(options.dir, "mariadb");
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
  const server = await launchServer({
    name: "MariaDB",
    program,
    dir,
    isDirOurs: options.dir === undefined,
    port: options.port,
    argumentsAt: (port) => argumentsOf(dir, options.settings ?? {}, port),
    answersAt: greets,
    portTaken: /Address already in use|already running on port/,
    startMs: startDeadlineMs,
    graceMs,
    everyMs: 50,
    log,
  });
  return { ...server, password };
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

function argumentsOf(
  dir: string,
  settings: Readonly<Record<string, string>>,
  port: number,
): readonly string[] {
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
