import { Cluster, Redis, type RedisOptions } from "ioredis";
import type { RedisQueueConfig } from "./queue-config.ts";

export type RedisConnection = Redis | Cluster;

/**
 * How a connection behaves when the server is away. `fail-fast` is for adding jobs: nothing waits
 * in this process, a call fails within its time. `patient` is for the worker: BullMQ wants
 * unlimited retries there (`maxRetriesPerRequest: null`), and its number of commands is bounded.
 */
export type Patience =
  | { readonly kind: "fail-fast"; readonly timeoutMs: number }
  | { readonly kind: "patient"; readonly timeoutMs: number };

const MAX_RECONNECT_DELAY_MS = 2_000;
const reconnectDelayMs = (times: number): number => Math.min(50 * times, MAX_RECONNECT_DELAY_MS);

/** Resolves once connected; rejects at the first failure, with nothing left behind. */
export async function connectRedis(
  config: RedisQueueConfig,
  patience: Patience,
  onError: (error: Error) => void,
): Promise<RedisConnection> {
  const connection = config.cluster ? cluster(config, patience) : single(config, patience);
  // Without a listener, ioredis prints to standard error. The last one says more than the
  // rejection of `connect`, which is always "Connection is closed".
  let lastError: Error | null = null;
  connection.on("error", (error: Error) => {
    lastError = error;
    onError(error);
  });
  try {
    await connection.connect();
    return connection;
  } catch (error) {
    connection.disconnect();
    throw lastError ?? error;
  }
}

/** What is the same for one server and for the nodes of a cluster. */
type NodeOptions = Pick<
  RedisOptions,
  | "lazyConnect"
  | "connectTimeout"
  | "keepAlive"
  | "disableClientInfo"
  | "maxRetriesPerRequest"
  | "autoResendUnfulfilledCommands"
  | "commandTimeout"
  | "socketTimeout"
>;

function optionsOf({ kind, timeoutMs }: Patience): NodeOptions {
  const common: NodeOptions = {
    lazyConnect: true,
    connectTimeout: timeoutMs,
    keepAlive: 10_000,
    disableClientInfo: true,
  };
  switch (kind) {
    case "fail-fast":
      return {
        ...common,
        maxRetriesPerRequest: 0,
        autoResendUnfulfilledCommands: false,
        commandTimeout: timeoutMs,
        // A server that hangs keeps its socket open: without this every call waits its time out.
        socketTimeout: timeoutMs,
      };
    case "patient":
      return { ...common, maxRetriesPerRequest: null };
    default:
      return kind satisfies never;
  }
}

function single(config: RedisQueueConfig, patience: Patience): Redis {
  return new Redis(config.urls[0].expose("upstream"), {
    ...optionsOf(patience),
    enableOfflineQueue: patience.kind === "patient",
    retryStrategy: reconnectDelayMs,
  });
}

function cluster(config: RedisQueueConfig, patience: Patience): Cluster {
  const nodes = config.urls.map((url) => new URL(url.expose("upstream")));
  const [first] = nodes;
  return new Cluster(
    nodes.map((node) => ({ host: node.hostname, port: Number(node.port || "6379") })),
    {
      lazyConnect: true,
      enableOfflineQueue: patience.kind === "patient",
      clusterRetryStrategy: reconnectDelayMs,
      slotsRefreshTimeout: patience.timeoutMs,
      // Nodes of a cluster share users and TLS; the first URL says which.
      redisOptions: {
        ...optionsOf(patience),
        ...(first === undefined ? {} : credentialsOf(first)),
      },
    },
  );
}

function credentialsOf(url: URL): Pick<RedisOptions, "username" | "password" | "tls"> {
  return {
    ...(url.username === "" ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === "" ? {} : { password: decodeURIComponent(url.password) }),
    ...(url.protocol === "rediss:" ? { tls: {} } : {}),
  };
}
