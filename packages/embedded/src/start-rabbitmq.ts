import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, realpath, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { EmbeddedError } from "./embedded-error.ts";
import { freePort } from "./free-port.ts";
import { startGuarded, type GuardedProcess } from "./guarded-process.ts";
import { programOnPath } from "./program-on-path.ts";
import { refuseUnknownKeys } from "./refuse-unknown-keys.ts";
import { waitUntil } from "./wait-until.ts";

const run = promisify(execFile);

export interface RabbitmqOptions {
  /** A node whose cluster this one joins; it is stopped after this one. */
  readonly beside?: EmbeddedRabbitmq;
  /** Speaks STOMP, MQTT and the protocol of streams too, by its own plugins. */
  readonly otherProtocols?: boolean;
}

export interface EmbeddedRabbitmq extends AsyncDisposable {
  readonly missing?: never;
  readonly host: "127.0.0.1";
  readonly amqpPort: number;
  /** Of the management plugin's HTTP API. */
  readonly apiPort: number;
  /** Where nobody listens unless `otherProtocols` were asked for. */
  readonly otherPorts: OtherPorts;
  /** Who may do everything. */
  readonly username: "admin";
  readonly password: string;
  readonly node: string;
  /** Where the files of its cluster are, the cookie included. */
  readonly dir: string;
  /** By which the nodes of its cluster find each other. */
  readonly epmdPort: number;
  signal(signal: NodeJS.Signals): void;
  /** Kills it (SIGKILL): its files are made for this run, and go with the first node. */
  stop(): Promise<void>;
}

export interface OtherPorts {
  readonly stomp: number;
  readonly mqtt: number;
  readonly stream: number;
}

/** The machine has no `rabbitmq-server`, which is no error: look at `missing` first. */
export interface RabbitmqMissing {
  readonly missing: "rabbitmq-server";
}

/** Erlang takes its time on a machine that has other work. */
const startDeadlineMs = 200_000;
const mapperDeadlineMs = 20_000;
const startedLine = /completed with \d+ plugins/;

/** One of up to seven ports that were free may have been taken by somebody since. */
const STARTS_MAX = 3;

/**
 * Starts a real RabbitMQ with its management plugin, if the machine has one, on 127.0.0.1 only. A
 * cluster of its own: ports, cookie, port mapper and files in a temporary folder. One that does not
 * start is tried again, at other ports. As with PostgreSQL, it ends with this process.
 * @throws EmbeddedError
 */
export async function startRabbitmq(
  options: RabbitmqOptions = {},
): Promise<EmbeddedRabbitmq | RabbitmqMissing> {
  refuseUnknownKeys(options, ["beside", "otherProtocols"], "startRabbitmq");
  const wrapper = await programOnPath("rabbitmq-server");
  if (wrapper === undefined) return { missing: "rabbitmq-server" };
  for (let tries = 1; ; tries++) {
    try {
      return await startAtSomePorts(wrapper, options);
    } catch (error) {
      if (!(error instanceof EmbeddedError) || tries === STARTS_MAX) throw error;
    }
  }
}

async function startAtSomePorts(
  wrapper: string,
  options: RabbitmqOptions,
): Promise<EmbeddedRabbitmq> {
  const { beside, otherProtocols: others = false } = options;
  const dir = beside?.dir ?? (await realpath(await mkdtemp(join(tmpdir(), "mayfly-rabbitmq-"))));
  const epmdPort = beside?.epmdPort ?? (await freePort());
  const ports = { amqp: await freePort(), api: await freePort(), dist: await freePort() };
  const otherPorts = {
    stomp: await freePort(),
    mqtt: await freePort(),
    stream: await freePort(),
  };
  const password = beside?.password ?? randomBytes(24).toString("base64url");
  const node = `mayfly-${ports.amqp}@localhost`;
  const configFile = join(dir, `${ports.amqp}.conf`);
  await writeFile(join(dir, "enabled_plugins"), `[${pluginsOf(others).join(",")}].\n`);
  const settings = configuration({ ...ports, others: others ? otherPorts : null }, password);
  await writeFile(configFile, settings, { mode: 0o600 });
  const env = environment({ dir, wrapper, epmdPort, node, configFile, distPort: ports.dist });
  const programs = await programsOf(wrapper);
  const mapper = beside === undefined ? await startMapper(epmdPort, env) : null;
  const server = await startNode(programs.server, env);
  const stop = async (): Promise<void> => {
    for (const one of [server.process, ...(mapper === null ? [] : [mapper])]) {
      one.signal("SIGCONT");
      one.signal("SIGKILL");
      await one.exited;
    }
    if (beside === undefined) await rm(dir, { recursive: true, force: true });
  };
  if (!server.isReady) {
    const words = (await server.process.lastWords()).join(" | ");
    await stop();
    throw new EmbeddedError({
      what: "RabbitMQ did not start",
      where: dir,
      why: `it ended or took too long; its last lines: ${words}`,
      remedy: "Look at the last lines; a port in use is the usual cause.",
    });
  }
  if (beside !== undefined) await joinCluster(programs.control, env, beside.node);
  return {
    host: "127.0.0.1",
    amqpPort: ports.amqp,
    apiPort: ports.api,
    otherPorts,
    username: "admin",
    password,
    node,
    dir,
    epmdPort,
    signal: (signal) => server.process.signal(signal),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

type Env = Readonly<Record<string, string>>;

const launch = (command: string, env: Env, log: (line: string) => void): Promise<GuardedProcess> =>
  startGuarded({
    command,
    args: [],
    parentDeathSignal: "KILL",
    user: undefined,
    env,
    input: undefined,
    log,
  });

/** Before any node: else each would start a mapper of its own, which outlives it. */
async function startMapper(port: number, env: Env): Promise<GuardedProcess> {
  const mapper = await launch("epmd", env, () => undefined);
  await waitUntil(async () => (await listens(port)) || mapper.hasEnded() || undefined, {
    deadlineMs: mapperDeadlineMs,
    everyMs: 10,
  });
  return mapper;
}

async function startNode(
  program: string,
  env: Env,
): Promise<{ readonly process: GuardedProcess; readonly isReady: boolean }> {
  let hasStarted = false;
  const process = await launch(program, env, (line) => {
    hasStarted ||= startedLine.test(line);
  });
  const ready = await waitUntil(
    async () => (hasStarted || process.hasEnded() ? hasStarted : undefined),
    { deadlineMs: startDeadlineMs, everyMs: 50 },
  );
  return { process, isReady: ready === true };
}

async function joinCluster(control: string, env: Env, other: string): Promise<void> {
  for (const args of [["stop_app"], ["join_cluster", other], ["start_app"]]) {
    await run(control, args, { env });
  }
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

/** Debian's commands change to an account of its own; the programs behind them need none. */
async function programsOf(wrapper: string) {
  const lib = join(dirname(dirname(wrapper)), "lib/rabbitmq/lib");
  const [home = ""] = await readdir(lib).catch(() => []);
  const place = home === "" ? dirname(wrapper) : join(lib, home, "sbin");
  return { server: join(place, "rabbitmq-server"), control: join(place, "rabbitmqctl") };
}

const pluginsOf = (others: boolean): readonly string[] => [
  "rabbitmq_management",
  ...(others ? ["rabbitmq_stomp", "rabbitmq_mqtt", "rabbitmq_stream"] : []),
];

const configuration = (
  ports: { readonly amqp: number; readonly api: number; readonly others: OtherPorts | null },
  password: string,
): string => {
  const { amqp, api, others } = ports;
  return [
    ...Object.entries(others ?? {}).map(
      ([protocol, port]) => `${protocol}.listeners.tcp.1 = 127.0.0.1:${port}`,
    ),
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
};

const environment = (of: {
  readonly dir: string;
  readonly wrapper: string;
  readonly epmdPort: number;
  readonly distPort: number;
  readonly node: string;
  readonly configFile: string;
}): Env => ({
  HOME: of.dir,
  PATH: `${dirname(of.wrapper)}:/usr/local/bin:/usr/bin:/bin`,
  ERL_EPMD_PORT: String(of.epmdPort),
  ERL_EPMD_ADDRESS: "127.0.0.1",
  RABBITMQ_CONF_ENV_FILE: "/dev/null",
  RABBITMQ_NODENAME: of.node,
  RABBITMQ_DIST_PORT: String(of.distPort),
  RABBITMQ_MNESIA_BASE: join(of.dir, "mnesia"),
  RABBITMQ_LOG_BASE: join(of.dir, "log"),
  RABBITMQ_CONFIG_FILE: of.configFile,
  RABBITMQ_ENABLED_PLUGINS_FILE: join(of.dir, "enabled_plugins"),
  RABBITMQ_PID_FILE: join(of.dir, `${of.distPort}.pid`),
  // Else the process is a shell that waits for the server, which outlives its SIGKILL.
  RUNNING_UNDER_SYSTEMD: "true",
  // The machine's cores are for the tests too.
  RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "+S 2:2 -start_epmd false",
});
