import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, realpath, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { EmbeddedError } from "./embedded-error.ts";
import { freePort } from "./free-port.ts";
import { startGuarded, type GuardedProcess } from "./guarded-process.ts";
import { programOnPath } from "./program-on-path.ts";
import { waitUntil } from "./wait-until.ts";

export interface EmbeddedRabbitmq extends AsyncDisposable {
  readonly missing?: never;
  readonly host: "127.0.0.1";
  readonly amqpPort: number;
  /** Of the management plugin's HTTP API. */
  readonly apiPort: number;
  /** Who may do everything. */
  readonly username: "admin";
  readonly password: string;
  signal(signal: NodeJS.Signals): void;
  /** Kills it (SIGKILL): its files are made for this run, and go with it. */
  stop(): Promise<void>;
}

/** The machine has no `rabbitmq-server`, which is no error: look at `missing` first. */
export interface RabbitmqMissing {
  readonly missing: "rabbitmq-server";
}

/** Erlang takes its time on a machine that has other work. */
const startDeadlineMs = 110_000;
const mapperDeadlineMs = 20_000;
const startedLine = /completed with \d+ plugins/;

/**
 * Starts a real RabbitMQ with its management plugin, if the machine has one, on 127.0.0.1 only. A
 * node of its own: ports, cookie, port mapper and files in a temporary folder. As with PostgreSQL,
 * it ends with this process.
 * @throws EmbeddedError
 */
export async function startRabbitmq(): Promise<EmbeddedRabbitmq | RabbitmqMissing> {
  const wrapper = await programOnPath("rabbitmq-server");
  if (wrapper === undefined) return { missing: "rabbitmq-server" };
  const dir = await realpath(await mkdtemp(join(tmpdir(), "mayfly-rabbitmq-")));
  const ports = { amqp: await freePort(), api: await freePort(), epmd: await freePort() };
  const password = randomBytes(24).toString("base64url");
  await writeFile(join(dir, "enabled_plugins"), "[rabbitmq_management].\n");
  await writeFile(join(dir, "rabbitmq.conf"), configuration(ports, password), { mode: 0o600 });
  const env = environment(dir, wrapper, ports.epmd, await freePort());
  let hasStarted = false;
  const launch = (command: string): Promise<GuardedProcess> =>
    startGuarded({
      command,
      args: [],
      parentDeathSignal: "KILL",
      user: undefined,
      env,
      input: undefined,
      log: (line) => {
        hasStarted ||= startedLine.test(line);
      },
    });
  const mapper = await launch("epmd");
  // Else the server would start a mapper of its own, which outlives it.
  await waitUntil(async () => (await listens(ports.epmd)) || mapper.hasEnded() || undefined, {
    deadlineMs: mapperDeadlineMs,
    everyMs: 10,
  });
  const server = await launch(await programOf(wrapper));
  const stop = async (): Promise<void> => {
    for (const one of [server, mapper]) {
      one.signal("SIGCONT");
      one.signal("SIGKILL");
      await one.exited;
    }
    await rm(dir, { recursive: true, force: true });
  };
  const ready = await waitUntil(
    async () => (hasStarted || server.hasEnded() ? hasStarted : undefined),
    { deadlineMs: startDeadlineMs, everyMs: 50 },
  );
  if (ready !== true) {
    const words = (await server.lastWords()).join(" | ");
    await stop();
    throw new EmbeddedError({
      what: "RabbitMQ did not start",
      where: dir,
      why: `${ready === undefined ? "it took too long" : "it ended"}; its last lines: ${words}`,
      remedy: "Look at the last lines; a port in use is the usual cause.",
    });
  }
  return {
    host: "127.0.0.1",
    amqpPort: ports.amqp,
    apiPort: ports.api,
    username: "admin",
    password,
    signal: (signal) => server.signal(signal),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

async function listens(port: number): Promise<boolean> {
  const socket = connect({ host: "127.0.0.1", port });
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Debian's command changes to an account of its own; the program behind it needs none. */
async function programOf(wrapper: string): Promise<string> {
  const lib = join(dirname(dirname(wrapper)), "lib/rabbitmq/lib");
  const [home = ""] = await readdir(lib).catch(() => []);
  return home === "" ? wrapper : join(lib, home, "sbin/rabbitmq-server");
}

const configuration = (
  { amqp, api }: { readonly amqp: number; readonly api: number },
  password: string,
): string =>
  [
    `listeners.tcp.1 = 127.0.0.1:${amqp}`,
    "management.tcp.ip = 127.0.0.1",
    `management.tcp.port = ${api}`,
    "default_user = admin",
    `default_pass = ${password}`,
    "log.file = false",
    "log.console = true",
    "log.console.level = error",
    "",
  ].join("\n");

const environment = (
  dir: string,
  wrapper: string,
  epmdPort: number,
  distPort: number,
): Readonly<Record<string, string>> => ({
  HOME: dir,
  PATH: `${dirname(wrapper)}:/usr/local/bin:/usr/bin:/bin`,
  ERL_EPMD_PORT: String(epmdPort),
  ERL_EPMD_ADDRESS: "127.0.0.1",
  RABBITMQ_CONF_ENV_FILE: "/dev/null",
  RABBITMQ_NODENAME: "mayfly-test@localhost",
  RABBITMQ_DIST_PORT: String(distPort),
  RABBITMQ_MNESIA_BASE: join(dir, "mnesia"),
  RABBITMQ_LOG_BASE: join(dir, "log"),
  RABBITMQ_CONFIG_FILE: join(dir, "rabbitmq.conf"),
  RABBITMQ_ENABLED_PLUGINS_FILE: join(dir, "enabled_plugins"),
  RABBITMQ_PID_FILE: join(dir, "pid"),
  // Else the process is a shell that waits for the server, which outlives its SIGKILL.
  RUNNING_UNDER_SYSTEMD: "true",
  // The machine's cores are for the tests too.
  RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "+S 2:2 -start_epmd false",
});
