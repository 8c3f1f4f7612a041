import { parseStrict } from "@mayfly/backend-kit";
import { systemClock, systemRandom } from "@mayfly/host";
import { parseInstallationId, type PoolingHost } from "@mayfly/spec";
import { createRecordingLog, createTestBackendHost } from "@mayfly/testkit";
import { BackendBench, type ContractUpstream } from "@mayfly/testkit/contract";
import { redisBackend } from "../redis-backend.ts";
import type { Lane } from "../members.ts";
import { serverSettings } from "../server-settings.ts";
import { liveUsers, openSession, tryLogin } from "./redis-upstream.ts";
import { BROKER, type RedisServer } from "./redis-server.ts";

export const host = (installation = "contract"): PoolingHost =>
  createTestBackendHost({
    clock: systemClock,
    random: systemRandom,
    log: createRecordingLog(),
    installation: parseInstallationId(installation, "installation"),
    quarantineSeconds: 1,
  });

export const configOf = (
  ports: readonly number[],
  more: object = {},
): Readonly<Record<string, unknown>> => ({
  nodes: ports.map((port) => ({ host: "127.0.0.1", port })),
  ...BROKER,
  tls: "unsafe_disable",
  ...more,
});

export const laneOf = (config: unknown): Lane => ({
  settings: parseStrict(serverSettings, config, "config"),
  host: host(),
  closing: new AbortController().signal,
  nodes: new Map(),
});

export function closeLane(lane: Lane): void {
  for (const node of lane.nodes.values()) node.close();
}

/** The backend open on servers that are there already; the first is where leases log in. */
export function benchOn(servers: readonly RedisServer[], config: unknown): BackendBench {
  const [first] = servers;
  if (first === undefined) throw new TypeError("no server");
  const unused = (): never => {
    throw new Error("the contract suite alone asks for this");
  };
  const upstream: ContractUpstream = {
    clock: systemClock,
    config,
    role: {
      keys: { read_write: ["orders:*"] },
      channels: ["orders"],
      commands: ["@read", "@write", "@connection", "@pubsub", "@transaction"],
    },
    params: {},
    host,
    pass: (ms) => systemClock.sleep(ms),
    tryCredential: (material) => tryLogin(first, material),
    openSession: (material) => openSession(first, material),
    liveNames: () => liveUsers(first),
    block: unused,
    route: null,
    forgeMark: unused,
    weaken: unused,
    stop: unused,
  };
  return new BackendBench({ backend: redisBackend }, upstream);
}
