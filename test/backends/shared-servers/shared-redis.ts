import { randomBytes } from "node:crypto";
import { startRedis } from "@mayfly/embedded";
import { startTcpFaultProxy } from "@mayfly/testkit";
import { Redis } from "ioredis";
import { CLEAR, textIn, there } from "../upstreams/upstream.ts";
import { isOf, saying, type RunningServer, type SharedServer } from "./shared-server.ts";

const OWN = { username: "mayfly", password: randomBytes(16).toString("hex") };
const RIGHTS = [
  ...["setuser", "getuser", "deluser", "list", "save", "dryrun"].map((name) => `+acl|${name}`),
  ...["list", "kill", "setname"].map((name) => `+client|${name}`),
];

async function start(): Promise<RunningServer> {
  const server = there(await startRedis());
  const { host, port } = server;
  const admin = new Redis(server.url);
  await admin.call("ACL", "SETUSER", OWN.username, "on", `>${OWN.password}`, "-@all", ...RIGHTS);
  const proxy = await startTcpFaultProxy({ host, port });
  const config = { nodes: [{ host, port: proxy.port }], ...OWN, ...CLEAR };
  const role = { keys: { read: ["orders:*"] }, commands: ["@read", "@connection"] };
  return {
    type: "redis",
    proxy,
    mintSends: [saying("SETUSER")],
    register: ({ put }) => put("redis", { type: "redis", config }, role),
    liveNames: async (installation) => {
      const lines = (await admin.call("ACL", "LIST")) as string[];
      return lines
        .flatMap((line) => /^user (mf_\S+) on /.exec(line)?.[1] ?? [])
        .filter(isOf(installation));
    },
    accepts: async (data) => {
      const client = new Redis({
        host,
        port,
        username: textIn(data, "username"),
        password: textIn(data, "password"),
        lazyConnect: true,
        enableReadyCheck: false,
        maxRetriesPerRequest: 0,
        retryStrategy: () => null,
      });
      client.on("error", () => undefined);
      try {
        await client.connect();
        await client.get("orders:1");
        return true;
      } catch {
        return false;
      } finally {
        client.disconnect();
      }
    },
    stop: async () => {
      admin.disconnect();
      await proxy.stop();
      await server.stop();
    },
  };
}

export const sharedRedis: SharedServer = { type: "redis", server: "redis", start };
