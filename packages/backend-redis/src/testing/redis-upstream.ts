import { Secret, type Issued } from "@mayfly/spec";
import { systemClock, systemRandom } from "@mayfly/host";
import {
  createRecordingLog,
  createTestBackendHost,
  startTcpFaultProxy,
  type RecordingLog,
  type TcpFaultProxy,
} from "@mayfly/testkit";
import type { ContractUpstream, HeldSession, UpstreamRoute } from "@mayfly/testkit/contract";
import { BROKER, startRedisServer, type RedisServer } from "./redis-server.ts";

/** User name and password of an issued credential. */
export function accountOf(material: Issued["material"]): readonly [string, string] {
  const { username, password } = material;
  if (typeof username !== "string" || !(password instanceof Secret)) throw new Error("no account");
  return [username, password.expose("upstream")];
}

export async function tryLogin(
  server: RedisServer,
  material: Issued["material"],
): Promise<"accepted" | "refused"> {
  const redis = server.connect(...accountOf(material));
  try {
    await redis.connect();
    await redis.get("orders:1");
    return "accepted";
  } catch {
    return "refused";
  } finally {
    redis.disconnect();
  }
}

export async function openSession(
  server: RedisServer,
  material: Issued["material"],
): Promise<HeldSession> {
  const redis = server.connect(...accountOf(material));
  await redis.connect();
  await redis.get("orders:1");
  return {
    // It makes no new connection when it was cut.
    alive: () =>
      redis.get("orders:1").then(
        () => true,
        () => false,
      ),
    close: async () => redis.disconnect(),
  };
}

export async function liveUsers(server: RedisServer): Promise<readonly string[]> {
  const lines = (await server.admin.call("ACL", "LIST")) as string[];
  return lines.flatMap((line) => /^user (mf_\S+) on /.exec(line)?.[1] ?? []);
}

export interface RedisUpstream extends ContractUpstream {
  readonly server: RedisServer;
  readonly proxy: TcpFaultProxy;
  readonly log: RecordingLog;
}

/** A customer's Redis as the contract suite drives it; the broker comes by way of a proxy. */
export async function startRedisUpstream(program: string): Promise<RedisUpstream> {
  const server = await startRedisServer(program);
  const proxy = await startTcpFaultProxy({ host: server.host, port: server.port });
  const log = createRecordingLog();
  const configAt: UpstreamRoute["configAt"] = ({ host, port }) => ({
    nodes: [{ host, port }],
    ...BROKER,
    tls: "unsafe_disable",
  });
  const config = configAt({ host: "127.0.0.1", port: proxy.port });
  return {
    server,
    proxy,
    log,
    clock: systemClock,
    config,
    role: { keys: { read_write: ["orders:*"] }, commands: ["@read", "@write", "@connection"] },
    params: {},
    host: (installation = "contract") =>
      createTestBackendHost({
        clock: systemClock,
        random: systemRandom,
        log,
        installation,
        quarantineSeconds: 1,
      }),
    pass: (ms) => systemClock.sleep(ms),
    tryCredential: (material) => tryLogin(server, material),
    openSession: (material) => openSession(server, material),
    liveNames: () => liveUsers(server),
    block: async () => {
      proxy.hold((piece) => piece.includes("SETUSER"));
      return { release: async () => proxy.release() };
    },
    forgeMark: async (name) => {
      const lines = (await server.admin.call("ACL", "LIST")) as string[];
      const rules = lines.find((line) => line.startsWith(`user ${name} `))?.split(" ") ?? [];
      const hashes = rules.filter((rule) => rule.startsWith("#"));
      for (const hash of hashes) {
        const other = (hash.startsWith("#0") ? "1" : "0") + hash.slice(2);
        await server.admin.call("ACL", "SETUSER", name, `!${hash.slice(1)}`, `#${other}`);
      }
    },
    route: { host: server.host, port: server.port, configAt },
    weaken: async () => {
      await server.admin.call("ACL", "SETUSER", BROKER.username, "-client|kill");
      return {
        restore: async () => {
          await server.admin.call("ACL", "SETUSER", BROKER.username, "+client|kill");
        },
      };
    },
    rotation: {
      madeBy: "mayfly",
      login: async () => ({
        config,
        giveBack: async () => {
          const { username, password } = BROKER;
          await server.admin.call("ACL", "SETUSER", username, "resetpass", `>${password}`);
        },
      }),
    },
    stop: async () => {
      await proxy.stop();
      await server.stop();
    },
  };
}
