import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { freePort, startGuarded, type GuardedProcess } from "@mayfly/embedded";
import { systemClock } from "@mayfly/host";
import { createOutboundApis } from "@mayfly/net";
import type { ApiRequest } from "@mayfly/spec";

/** The administrator of the tests' server. */
export const ADMIN = "admin:the-administrators";
/** The broker's user: the tag `administrator`, and no permission. */
export const BROKER = { username: "mayfly", password: "canary-of-the-broker" } as const;
export const VHOST = "orders/eu";

/** Somebody's RabbitMQ with the management plugin. */
export interface RabbitServer {
  readonly host: "127.0.0.1";
  readonly amqpPort: number;
  readonly apiPort: number;
  /** As the administrator; answers what came as JSON, or null for nothing. */
  api(method: ApiRequest["method"], path: string, body?: object): Promise<unknown>;
  signal(signal: NodeJS.Signals): void;
  stop(): Promise<void>;
}

/** Debian keeps the programs that need no account of their own beside those that do. */
async function programOf(wrapper: string): Promise<string> {
  const lib = join(dirname(dirname(wrapper)), "lib/rabbitmq/lib");
  const [home] = await readdir(lib);
  if (home === undefined) throw new Error(`${lib} is empty`);
  return join(lib, home, "sbin/rabbitmq-server");
}

/** A node of its own: ports, cookie, port mapper and files in a temporary folder. */
export async function startRabbitServer(wrapper: string): Promise<RabbitServer> {
  const dir = await mkdtemp(join(tmpdir(), "mayfly-rabbitmq-"));
  const [amqpPort, apiPort, distPort, epmdPort] = await freePorts();
  const own = {
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
    // The machine's cores are for the tests too.
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "+S 2:2",
  };
  await writeFile(own.RABBITMQ_ENABLED_PLUGINS_FILE, "[rabbitmq_management].\n");
  await writeFile(own.RABBITMQ_CONFIG_FILE, configuration(amqpPort, apiPort));
  const launch = (command: string): Promise<GuardedProcess> =>
    startGuarded({
      command,
      args: [],
      parentDeathSignal: "KILL",
      user: undefined,
      env: own,
      input: undefined,
      log: () => undefined,
    });
  const mapper = await launch("epmd");
  const server = await launch(await programOf(wrapper));
  const stop = async (): Promise<void> => {
    for (const one of [server, mapper]) {
      one.signal("SIGCONT");
      one.signal("SIGKILL");
      await one.exited;
    }
    await rm(dir, { recursive: true, force: true });
  };
  const api = adminApi(apiPort);
  try {
    await untilReady(server, api);
    await prepare(api);
  } catch (error) {
    const words = (await server.lastWords()).join("\n");
    await stop();
    throw new Error(`RabbitMQ did not start: ${words}`, { cause: error });
  }
  return {
    host: "127.0.0.1",
    amqpPort,
    apiPort,
    api,
    signal: (signal) => server.signal(signal),
    stop,
  };
}

async function freePorts(): Promise<readonly [number, number, number, number]> {
  const [a, b, c, d] = [await freePort(), await freePort(), await freePort(), await freePort()];
  return [a, b, c, d];
}

const configuration = (amqpPort: number, apiPort: number): string => {
  const [name, password] = ADMIN.split(":");
  return [
    `listeners.tcp.1 = 127.0.0.1:${amqpPort}`,
    "management.tcp.ip = 127.0.0.1",
    `management.tcp.port = ${apiPort}`,
    `default_user = ${name}`,
    `default_pass = ${password}`,
    "log.file = false",
    "log.console = true",
    "log.console.level = error",
    "",
  ].join("\n");
};

function adminApi(port: number): RabbitServer["api"] {
  const admin = createOutboundApis().open({
    origin: `http://127.0.0.1:${port}`,
    tls: false,
    connections: 8,
    timeoutMs: 20_000,
    maxBytes: 64 * 1024 * 1024,
  });
  const headers = {
    authorization: `Basic ${Buffer.from(ADMIN).toString("base64")}`,
    "content-type": "application/json",
  };
  const context = {
    clock: systemClock,
    signal: new AbortController().signal,
    traceId: "test",
  };
  return async (method, path, body) => {
    const given = body === undefined ? null : JSON.stringify(body);
    const outcome = await admin.send({ method, path, headers, body: given }, context);
    if (outcome.kind !== "answer") throw new Error(`${method} ${path}: ${outcome.why}`);
    if (outcome.status >= 300) throw new Error(`${method} ${path}: ${outcome.text}`);
    return outcome.text === "" ? null : (JSON.parse(outcome.text) as unknown);
  };
}

/** Erlang takes its time on a machine that has other work. */
async function untilReady(server: GuardedProcess, api: RabbitServer["api"]): Promise<void> {
  for (let tries = 0; tries < 1_000; tries++) {
    if (server.hasEnded()) throw new Error("it ended");
    try {
      await api("GET", "/api/overview");
      return;
    } catch {
      await systemClock.sleep(100);
    }
  }
  throw new Error("it took too long");
}

async function prepare(api: RabbitServer["api"]): Promise<void> {
  const vhost = encodeURIComponent(VHOST);
  await api("PUT", `/api/vhosts/${vhost}`);
  const administers = { password: BROKER.password, tags: "administrator" };
  await api("PUT", `/api/users/${BROKER.username}`, administers);
  await api("PUT", `/api/permissions/${vhost}/admin`, {
    configure: ".*",
    write: ".*",
    read: ".*",
  });
  await api("PUT", `/api/queues/${vhost}/orders.new`, { durable: true });
}
