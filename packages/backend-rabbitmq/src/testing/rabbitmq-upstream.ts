import type { RabbitmqOptions } from "@mayfly/embedded";
import { connect, type ChannelModel } from "amqplib";
import { systemClock, systemRandom } from "@mayfly/host";
import { createOutboundApis } from "@mayfly/net";
import { Secret, type Issued } from "@mayfly/spec";
import {
  createRecordingLog,
  createTestBackendHost,
  startTcpFaultProxy,
  type RecordingLog,
  type TcpFaultProxy,
} from "@mayfly/testkit";
import { BackendBench, type ContractUpstream, type HeldSession } from "@mayfly/testkit/contract";
import { rabbitmqBackend } from "../rabbitmq-backend.ts";
import { BROKER, VHOST, startRabbitServer, type RabbitServer } from "./rabbitmq-server.ts";

/** Logs in with what was issued. */
export async function connectWith({ url }: Issued["material"]): Promise<ChannelModel> {
  if (!(url instanceof Secret)) throw new Error("no url");
  const connection = await connect(url.expose("upstream"));
  connection.on("error", () => undefined);
  return connection;
}

/** Asks for a queue that the tests' leases may read, on a channel of its own. */
async function look(connection: ChannelModel): Promise<void> {
  const channel = await connection.createChannel();
  channel.on("error", () => undefined);
  await channel.checkQueue("orders.new");
  await channel.close();
}

async function tryLogin(material: Issued["material"]): Promise<"accepted" | "refused"> {
  let connection: ChannelModel | undefined;
  try {
    connection = await connectWith(material);
    await look(connection);
    return "accepted";
  } catch {
    return "refused";
  } finally {
    await connection?.close().catch(() => undefined);
  }
}

async function openSession(material: Issued["material"]): Promise<HeldSession> {
  const connection = await connectWith(material);
  await look(connection);
  return {
    alive: () =>
      look(connection).then(
        () => true,
        () => false,
      ),
    close: () => connection.close().catch(() => undefined),
  };
}

interface ApiUser {
  readonly name: string;
  readonly password_hash: string;
  readonly tags: readonly string[];
}

export interface RabbitUpstream extends ContractUpstream {
  readonly server: RabbitServer;
  readonly proxy: TcpFaultProxy;
  readonly log: RecordingLog;
}

export const configAt = (
  server: RabbitServer,
  at: { readonly host: string; readonly port: number },
): Readonly<Record<string, unknown>> => ({
  ...at,
  ...BROKER,
  tls: "unsafe_disable",
  amqp: { host: server.host, port: server.amqpPort, tls: false },
});

/** A customer's RabbitMQ as the contract suite drives it; the broker comes by way of a proxy. */
export async function startRabbitUpstream(options: RabbitmqOptions = {}): Promise<RabbitUpstream> {
  const server = await startRabbitServer(options);
  const proxy = await startTcpFaultProxy({ host: server.host, port: server.apiPort });
  const log = createRecordingLog();
  const user = (name: string): Promise<ApiUser> =>
    server.api("GET", `/api/users/${name}`) as Promise<ApiUser>;
  const tagBroker = (tags: string): Promise<unknown> =>
    server.api("PUT", `/api/users/${BROKER.username}`, { password: BROKER.password, tags });
  const config = configAt(server, { host: "127.0.0.1", port: proxy.port });
  return {
    server,
    proxy,
    log,
    clock: systemClock,
    config,
    role: { vhost: VHOST, configure: "orders\\..*", write: "orders\\..*", read: "orders\\..*" },
    params: {},
    host: (installation = "contract") =>
      createTestBackendHost({
        clock: systemClock,
        random: systemRandom,
        log,
        apis: createOutboundApis(),
        installation,
        quarantineSeconds: 1,
      }),
    pass: (ms) => systemClock.sleep(ms),
    tryCredential: tryLogin,
    openSession,
    liveNames: async () => {
      const users = (await server.api("GET", "/api/users")) as readonly ApiUser[];
      return users
        .filter(({ name, password_hash: hash }) => name.startsWith("mf_") && hash !== "")
        .map(({ name }) => name)
        .toSorted();
    },
    block: async () => {
      proxy.hold((piece) => piece.includes("PUT /api/users"));
      return { release: async () => proxy.release() };
    },
    route: { host: server.host, port: server.apiPort, configAt: (at) => configAt(server, at) },
    forgeMark: async (name) => {
      const { password_hash, tags } = await user(name);
      const forged = tags.map((tag) => tag.replace(/-[0-9a-f]{8}/, "-00000000")).join(",");
      await server.api("PUT", `/api/users/${name}`, { password_hash, tags: forged });
    },
    weaken: async () => {
      await tagBroker("monitoring");
      return {
        restore: async () => {
          await tagBroker("administrator");
        },
      };
    },
    rotation: {
      madeBy: "mayfly",
      login: async () => ({
        config,
        giveBack: async () => {
          await tagBroker("administrator");
        },
      }),
    },
    stop: async () => {
      await proxy.stop();
      await server.stop();
    },
  };
}

/** The backend open on a server of one's own. */
export async function startRabbitBench(options: RabbitmqOptions = {}): Promise<{
  readonly upstream: RabbitUpstream;
  readonly bench: BackendBench;
  stop(): Promise<void>;
}> {
  const upstream = await startRabbitUpstream(options);
  const bench = new BackendBench({ backend: rabbitmqBackend }, upstream);
  return {
    upstream,
    bench,
    stop: async () => {
      await bench.open.close();
      await upstream.stop();
    },
  };
}
