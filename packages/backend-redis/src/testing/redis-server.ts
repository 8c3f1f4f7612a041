import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createHash } from "node:crypto";
import { Redis } from "ioredis";
import { freePort, startGuarded, type GuardedProcess } from "@mayfly/embedded";
import { systemClock } from "@mayfly/host";

/** The administrator of the tests' servers. */
export const ADMIN = { username: "default", password: "the administrator's" } as const;
/** The broker's user, with the rights of docs/backends/redis.md and nothing more. */
export const BROKER = { username: "mayfly", password: "canary-of-the-broker" } as const;
export const BROKER_RULES = [
  "-@all",
  "+acl|setuser",
  "+acl|getuser",
  "+acl|deluser",
  "+acl|list",
  "+acl|save",
  "+acl|dryrun",
  "+client|list",
  "+client|kill",
  "+client|setname",
  "+cluster|nodes",
] as const;

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** What a platform team keeps in the ACL file of its servers. */
const ACL_FILE = [
  `user default on #${sha256(ADMIN.password)} ~* &* +@all`,
  `user mayfly on #${sha256(BROKER.password)} resetchannels ${BROKER_RULES.join(" ")}`,
];

/** Somebody's Redis, with an ACL file. */
export interface RedisServer {
  readonly host: "127.0.0.1";
  readonly port: number;
  readonly aclFile: string;
  readonly admin: Redis;
  connect(username: string, password: string): Redis;
  signal(signal: NodeJS.Signals): void;
  /** Stops it, and starts it again with its files as they are then. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export async function startRedisServer(
  program: string,
  options: RedisServerOptions = {},
): Promise<RedisServer> {
  for (let tries = 1; ; tries++) {
    try {
      return await startAtSomePort(program, options);
    } catch (error) {
      if (!(error instanceof NotStarted) || tries === STARTS_MAX) throw error;
    }
  }
}

interface RedisServerOptions {
  readonly cluster?: boolean;
  readonly aclFile?: boolean;
}

/** A port that was free may have been taken by somebody since. */
const STARTS_MAX = 5;
class NotStarted extends Error {}

/** The cluster's own port is 10,000 higher, and must be none that outgoing connections get. */
const CLUSTER_PORT_MAX = 22_000;

async function portFor({ cluster = false }: RedisServerOptions): Promise<number> {
  let port = await freePort();
  while (cluster && port > CLUSTER_PORT_MAX) port = await freePort();
  return port;
}

async function startAtSomePort(program: string, options: RedisServerOptions): Promise<RedisServer> {
  const dir = await mkdtemp(join(tmpdir(), "mayfly-redis-acl-"));
  const aclFile = join(dir, "users.acl");
  await writeFile(aclFile, `${ACL_FILE.join("\n")}\n`);
  const port = await portFor(options);
  const settings = [
    "bind 127.0.0.1",
    `port ${port}`,
    `dir "${dir}"`,
    'save ""',
    `masteruser ${ADMIN.username}`,
    `masterauth "${ADMIN.password}"`,
    ...(options.aclFile === false ? ACL_FILE : [`aclfile "${aclFile}"`]),
    ...(options.cluster === true ? ["cluster-enabled yes", "cluster-node-timeout 1500"] : []),
  ];
  const launch = (): Promise<GuardedProcess> =>
    startGuarded({
      command: program,
      args: ["-"],
      parentDeathSignal: "KILL",
      user: undefined,
      env: undefined,
      input: `${settings.join("\n")}\n`,
      log: () => undefined,
    });
  let process = await launch();
  const remove = (): Promise<void> => rm(dir, { recursive: true, force: true });
  const connect = (username: string, password: string): Redis =>
    connectTo(port, username, password);
  const asAdmin = (): Redis => connect(ADMIN.username, ADMIN.password);
  let admin = await readyOf(process, asAdmin).catch(async (error: unknown) => {
    await remove();
    throw error;
  });
  const end = async (): Promise<void> => {
    admin.disconnect();
    process.signal("SIGCONT");
    process.signal("SIGKILL");
    await process.exited;
  };
  return {
    host: "127.0.0.1",
    port,
    aclFile,
    get admin() {
      return admin;
    },
    connect,
    signal: (signal) => process.signal(signal),
    restart: async () => {
      await end();
      process = await launch();
      admin = await readyOf(process, asAdmin);
    },
    stop: async () => {
      await end();
      await remove();
    },
  };
}

/** A client that makes no second connection when its first one is cut. */
function connectTo(port: number, username: string, password: string): Redis {
  const redis = new Redis({
    host: "127.0.0.1",
    port,
    username,
    password,
    lazyConnect: true,
    protocol: 2,
    enableReadyCheck: false,
    disableClientInfo: true,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  redis.on("error", () => undefined);
  return redis;
}

/** At most 30 seconds; no longer than the process lives. */
async function readyOf(process: GuardedProcess, connect: () => Redis): Promise<Redis> {
  let ended = false;
  const exited = process.exited.then(() => {
    ended = true;
  });
  for (let tries = 0; tries < 1_200 && !ended; tries++) {
    const redis = connect();
    try {
      await redis.connect();
      await redis.ping();
      // Whoever took the port may answer too; then ours is about to end.
      await Promise.race([exited, systemClock.sleep(0)]);
      if (!ended) return redis;
    } catch {
      // It is not there yet.
    }
    redis.disconnect();
    await systemClock.sleep(25);
  }
  process.signal("SIGKILL");
  throw new NotStarted("Redis did not start");
}

/** Three primaries with a replica each. */
export async function startRedisCluster(program: string): Promise<readonly RedisServer[]> {
  const nodes = await Promise.all(
    Array.from({ length: 6 }, () => startRedisServer(program, { cluster: true })),
  );
  const primaries = nodes.slice(0, 3);
  const [first] = primaries;
  if (first === undefined) throw new TypeError("no node");
  for (const [place, { admin }] of primaries.entries()) {
    const [from, to] = [place * 5_462, Math.min(16_383, place * 5_462 + 5_461)];
    await admin.cluster("ADDSLOTSRANGE", from, to);
  }
  for (const { port } of nodes.slice(1)) await first.admin.cluster("MEET", "127.0.0.1", port);
  await until(async () => (await infoOf(first)).includes("cluster_known_nodes:6"));
  for (const [place, replica] of nodes.slice(3).entries()) {
    const id = await primaries[place]?.admin.cluster("MYID");
    await until(async () => {
      try {
        await replica.admin.cluster("REPLICATE", String(id));
        return true;
      } catch {
        // It has not heard of its primary yet.
        return false;
      }
    });
  }
  for (const node of nodes) {
    await until(async () => (await infoOf(node)).includes("cluster_state:ok"));
    await until(async () => !/handshake|fail/.test(await nodesOf(node)));
    await until(async () => (await nodesOf(node)).split("slave").length === 4);
  }
  return nodes;
}

const infoOf = async ({ admin }: RedisServer): Promise<string> =>
  String(await admin.cluster("INFO"));
export const nodesOf = async ({ admin }: RedisServer): Promise<string> =>
  String(await admin.cluster("NODES"));

/** Looks until it is so, for at most 30 seconds. */
export async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if (await isSo()) return;
    await systemClock.sleep(50);
  }
  throw new Error("it did not become so in 30 seconds");
}
