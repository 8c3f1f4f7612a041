import { startRabbitmq, type EmbeddedRabbitmq, type RabbitmqOptions } from "@mayfly/embedded";
import { systemClock } from "@mayfly/host";
import { createOutboundApis } from "@mayfly/net";
import type { ApiRequest } from "@mayfly/spec";

/** The broker's user: the tag `administrator`, and no permission. */
export const BROKER = { username: "mayfly", password: "canary-of-the-broker" } as const;
export const VHOST = "orders/eu";

/** Somebody's RabbitMQ with the management plugin. */
export interface RabbitServer {
  readonly host: "127.0.0.1";
  readonly amqpPort: number;
  readonly apiPort: number;
  readonly node: EmbeddedRabbitmq;
  /** Of the administrator, joined by a colon. */
  readonly admin: string;
  /** As the administrator; answers what came as JSON, or null for nothing. */
  api(method: ApiRequest["method"], path: string, body?: object): Promise<unknown>;
  stop(): Promise<void>;
}

export async function startRabbitServer(options: RabbitmqOptions = {}): Promise<RabbitServer> {
  const server = await startRabbitmq(options);
  if (server.missing !== undefined) throw new TypeError(`${server.missing} is missing`);
  const admin = `${server.username}:${server.password}`;
  const api = apiOf(server.apiPort, admin);
  await prepare(api);
  const { host, amqpPort, apiPort } = server;
  return { host, amqpPort, apiPort, node: server, admin, api, stop: () => server.stop() };
}

function apiOf(port: number, admin: string): RabbitServer["api"] {
  const opened = createOutboundApis().open({
    origin: `http://127.0.0.1:${port}`,
    tls: false,
    connections: 8,
    timeoutMs: 20_000,
    maxBytes: 64 * 1024 * 1024,
  });
  const headers = {
    authorization: `Basic ${Buffer.from(admin).toString("base64")}`,
    "content-type": "application/json",
  };
  const context = { clock: systemClock, signal: new AbortController().signal, traceId: "test" };
  return async (method, path, body) => {
    const given = body === undefined ? null : JSON.stringify(body);
    const outcome = await opened.send({ method, path, headers, body: given }, context);
    if (outcome.kind !== "answer") throw new Error(`${method} ${path}: ${outcome.why}`);
    if (outcome.status >= 300) throw new Error(`${method} ${path}: ${outcome.text}`);
    return outcome.text === "" ? null : (JSON.parse(outcome.text) as unknown);
  };
}

async function prepare(api: RabbitServer["api"]): Promise<void> {
  const vhost = encodeURIComponent(VHOST);
  await api("PUT", `/api/vhosts/${vhost}`);
  const administers = { password: BROKER.password, tags: "administrator" };
  await api("PUT", `/api/users/${BROKER.username}`, administers);
  const all = { configure: ".*", write: ".*", read: ".*" };
  await api("PUT", `/api/permissions/${vhost}/admin`, all);
  await api("PUT", `/api/queues/${vhost}/orders.new`, { durable: true });
}
