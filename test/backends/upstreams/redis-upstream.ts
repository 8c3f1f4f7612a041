import { randomBytes } from "node:crypto";
import { Redis } from "ioredis";
import { requireOrExplain, startRedis } from "@mayfly/embedded";
import {
  BROKER,
  startRedisServer,
} from "../../../packages/backend-redis/src/testing/redis-server.ts";
import {
  alive,
  CLEAR,
  textIn,
  there,
  verdictOf,
  type CredentialData,
  type Upstream,
} from "./upstream.ts";

const OWN = { username: "mayfly", password: randomBytes(16).toString("hex") };
const RIGHTS = [
  ...["setuser", "getuser", "deluser", "list", "save", "dryrun"].map((name) => `+acl|${name}`),
  ...["list", "kill", "setname"].map((name) => `+client|${name}`),
];
const SAID = {
  refused: /WRONGPASS|NOPERM|NOAUTH/,
  brokenOff: /Connection is closed|ECONNRESET|EPIPE/,
};

export const redisUpstream: Upstream = {
  type: "redis",
  server: "redis",
  outcome: "revoked",
  refusedBy: "a login (`AUTH`)",
  register: async ({ put }) => {
    const server = there(await startRedis());
    const admin = new Redis(server.url);
    await admin.call("ACL", "SETUSER", OWN.username, "on", `>${OWN.password}`, "-@all", ...RIGHTS);
    const config = { nodes: [{ host: server.host, port: server.port }], ...OWN, ...CLEAR };
    const role = { keys: { read: ["orders:*"] }, commands: ["@read", "@connection"] };
    await put("redis", { type: "redis", config }, role);
    const stopped: (() => Promise<void>)[] = [() => server.stop()];
    return {
      version: `Redis ${server.version}`,
      tryCredential: async (data) => {
        const { client, logIn } = connectionOf(data);
        try {
          return await verdictOf(logIn, SAID);
        } finally {
          client.disconnect();
        }
      },
      openSession: async (data) => {
        const { client, logIn } = connectionOf(data);
        await logIn();
        return {
          alive: () => alive(() => client.get("orders:1")),
          close: async () => client.disconnect(),
        };
      },
      live: async () => {
        const lines = (await admin.call("ACL", "LIST")) as readonly string[];
        const clients = String(await admin.call("CLIENT", "LIST"));
        const users = lines.filter((line) => line.startsWith("user mf_")).length;
        return users + (clients.match(/ user=mf_/g)?.length ?? 0);
      },
      ownLogin: async () => {
        // Beside the other one, which has no ACL file: it would forget what it is given.
        const lasting = await startRedisServer((await requireOrExplain("redis")) ?? "");
        stopped.push(() => lasting.stop());
        const { host, port } = lasting;
        const own = { nodes: [{ host, port }], ...BROKER, ...CLEAR };
        await put("redis-own", { type: "redis", config: own }, role);
        const name = (client: Redis) => client.client("SETNAME", "somebody");
        return {
          backend: "redis-own",
          tryFirst: async () => {
            const { client, logIn } = connectionOf({ host, port, ...BROKER }, name);
            return verdictOf(logIn, SAID).finally(() => client.disconnect());
          },
        };
      },
      stop: async () => {
        admin.disconnect();
        await Promise.all(stopped.map((stop) => stop()));
      },
    };
  },
};

interface OneConnection {
  readonly client: Redis;
  readonly logIn: () => Promise<void>;
}

/** One connection, and never another in its place. */
function connectionOf(
  data: CredentialData,
  look = (client: Redis): Promise<unknown> => client.get("orders:1"),
): OneConnection {
  const client = new Redis({
    host: textIn(data, "host"),
    port: Number(data["port"]),
    username: textIn(data, "username"),
    password: textIn(data, "password"),
    lazyConnect: true,
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  let said: Error | null = null;
  client.on("error", (error: Error) => {
    said = error;
  });
  return {
    client,
    logIn: async () => {
      try {
        await client.connect();
        await look(client);
      } catch (error) {
        // That the connection is closed is all that the driver rejects with.
        throw said ?? error;
      }
    },
  };
}
