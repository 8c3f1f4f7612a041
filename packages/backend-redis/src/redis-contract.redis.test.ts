import { requireOrExplain } from "@mayfly/embedded";
import { describeBackendContract, type BackendContractSubject } from "@mayfly/testkit/contract";
import { describe } from "vitest";
import { redisBackend } from "./redis-backend.ts";
import { startRedisUpstream } from "./testing/redis-upstream.ts";

const canary = 'canary-of-the-broker\'s "own" password';
const config = { nodes: [{ host: "cache.test" }], username: "mayfly", password: canary };
const role = {
  keys: { read: ["orders:*", "prices:[a-m]*"], write: ["orders:*"], read_write: ["carts:*"] },
  channels: ["orders.*"],
  commands: ["@read", "@write", "config|get", "client"],
  dangerous: ["keys"],
  deny: ["scan"],
};

const inputs: BackendContractSubject["inputs"] = {
  config: {
    valid: [
      {
        ...config,
        nodes: [{ host: "a.test", port: 6380 }, { host: "b.test" }],
        topology: "cluster",
        tls: "unsafe_disable",
        call_seconds_max: 3,
      },
      config,
    ],
    bad: [
      { input: { ...config, nodes: [] }, names: "config.nodes" },
      { input: { ...config, nodes: [{ host: "a b" }] }, names: "config.nodes[0].host" },
      { input: { ...config, nodes: [{ host: "a", prot: 1 }] }, names: "config.nodes[0].prot" },
      { input: { ...config, topology: "sentinel" }, names: "config.topology" },
      { input: { ...config, username: "may fly" }, names: "config.username" },
      { input: { ...config, password: undefined }, names: "config.password" },
      { input: { ...config, tls: "prefer" }, names: "config.tls" },
      { input: { ...config, ca: "no certificate" }, names: "config.ca" },
      { input: { ...config, call_seconds_max: 11 }, names: "config.call_seconds_max" },
    ],
    secrets: [canary.slice(0, 20)],
  },
  role: {
    valid: [role, { commands: ["ping"] }, { keys: { read: ["*", "a"] }, commands: ["@all"] }],
    bad: [
      { input: {}, names: "role.commands" },
      { input: { ...role, commands: [] }, names: "role.commands" },
      { input: { ...role, commands: ["@dangerous"] }, names: "role.commands[0]" },
      { input: { ...role, commands: ["+get"] }, names: "role.commands[0]" },
      { input: { ...role, commands: ["GET"] }, names: "role.commands[0]" },
      { input: { ...role, dangerous: ["shutdown"] }, names: "role.dangerous[0]" },
      { input: { ...role, keys: { read: ["a b"] } }, names: "role.keys.read[0]" },
      { input: { ...role, keys: { reads: [] } }, names: "role.keys.reads" },
      { input: { ...role, channels: [""] }, names: "role.channels[0]" },
      { input: { ...role, deny: ["-scan"] }, names: "role.deny[0]" },
    ],
  },
  params: {
    valid: [
      {
        keys: { read: ["orders:7:*"] },
        channels: ["orders.7"],
        commands: ["@read"],
        dangerous: [],
        deny: ["randomkey"],
      },
      {},
    ],
    bad: [
      { input: { commands: [] }, names: "params.commands" },
      { input: { keys: { read: ["a\nb"] } }, names: "params.keys.read[0]" },
    ],
  },
  narrowing: {
    role,
    wide: {},
    narrow: {
      keys: { read: ["orders:7:*", "prices:[a-m]*"], write: ["carts:7"] },
      channels: ["orders.7"],
      commands: ["@read", "client|id"],
      dangerous: [],
      deny: ["randomkey"],
    },
    tooWide: [
      { keys: { read: ["*"] } },
      { keys: { read: ["prices:*"] } },
      { keys: { read: ["prices:[a-l]*"] } },
      { keys: { read_write: ["orders:*"] } },
      { keys: { write: ["?rders:*"] } },
      { channels: ["orders*"] },
      { commands: ["@all"] },
      { commands: ["get"] },
      { commands: ["@read", "config"] },
      { dangerous: ["flushall"] },
    ],
  },
};

for (const server of ["redis", "valkey"] as const) {
  const program = await requireOrExplain(server);
  describe.runIf(program !== undefined)("on a real server", () => {
    describeBackendContract({
      name: server === "redis" ? "Redis" : "Valkey",
      backend: redisBackend,
      inputs,
      // Nothing listens on port 1 (tcpmux).
      unreachableConfig: {
        ...config,
        nodes: [{ host: "127.0.0.1", port: 1 }],
        tls: "unsafe_disable",
      },
      protocol: "tcp",
      start: () => startRedisUpstream(program ?? ""),
    });
  });
}
