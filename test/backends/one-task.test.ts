import { connect, type ChannelModel } from "amqplib";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  startRabbitmq,
  startRedis,
  type EmbeddedRabbitmq,
  type EmbeddedRedis,
} from "@mayfly/embedded";
import { isInstalled } from "@mayfly/testkit/vitest";
import {
  accepted,
  at,
  listAt,
  READER,
  startInstallation,
  textAt,
  until,
  type Installation,
  type Reply,
  type RunningBroker,
} from "../harness/index.ts";

/**
 * A database, a cache and a queue in one task, each on its real server: its end ends them all, and
 * one of them that does not answer holds up none of the others.
 */
const hasServers = (
  await Promise.all((["redis", "rabbitmq"] as const).map((name) => isInstalled(name)))
).every(Boolean);
const PASSWORD = "the broker's own";
const END_MS_MAX = 180_000;
const LEASES = ["orders-db", "cache", "queue"] as const;

describe.skipIf(!hasServers)("one task with leases of PostgreSQL, Redis and RabbitMQ", () => {
  let mayfly: Installation;
  let broker: RunningBroker;
  let redis: EmbeddedRedis;
  let rabbit: EmbeddedRabbitmq;
  let admin: Redis;

  beforeAll(async () => {
    [redis, rabbit] = [found(await startRedis()), found(await startRabbitmq())];
    admin = new Redis(redis.url);
    mayfly = await startInstallation();
    broker = await mayfly.startBroker();
    await mayfly.startWorker();
    await mayfly.register(broker);
    await admin.call("ACL", "SETUSER", "mayfly", "on", `>${PASSWORD}`, "-@all", ...CACHE_RIGHTS);
    await admin.set("orders:1", "two pears");
    await put("/v1/backends/cache", {
      type: "redis",
      config: { nodes: [{ host: redis.host, port: redis.port }], ...OWN, call_seconds_max: 3 },
    });
    await put("/v1/roles/cache/orders", {
      keys: { read: ["orders:*"] },
      commands: ["@read", "@connection"],
      ...ROLE,
    });
    await manage("PUT", "/api/users/mayfly", { password: PASSWORD, tags: "administrator" });
    await manage("PUT", "/api/queues/%2F/orders.new", { durable: true });
    await put("/v1/backends/queue", {
      type: "rabbitmq",
      config: {
        host: rabbit.host,
        port: rabbit.apiPort,
        amqp: { port: rabbit.amqpPort, tls: false },
        ...OWN,
      },
    });
    await put("/v1/roles/queue/orders", { vhost: "/", read: "orders\\..*", ...ROLE });
  });
  afterAll(async () => {
    admin?.disconnect();
    await mayfly?.[Symbol.asyncDispose]();
    await Promise.all([redis?.stop(), rabbit?.stop()]);
  });

  async function put(path: string, body: object): Promise<void> {
    accepted(await broker.api.admin("PUT", path, body), path);
  }
  async function manage(method: string, path: string, body: object): Promise<void> {
    const credentials = `${rabbit.username}:${rabbit.password}`;
    const answer = await fetch(`http://${rabbit.host}:${rabbit.apiPort}${path}`, {
      method,
      headers: { authorization: `Basic ${Buffer.from(credentials).toString("base64")}` },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  }

  const open = (ref: string): Promise<Reply> =>
    broker.api.exchange({
      subject: mayfly.svid("worker-bee"),
      details: {
        type: "mayfly-task",
        goal: "look at an order, in three places",
        ref,
        deadline: "10m",
        credentials: [READER, "cache/orders", "queue/orders"].map((role) => ({
          role,
          ttl: "10m",
        })),
      },
    });
  const data = (reply: Reply, place: number, name: string): string =>
    textAt(reply, "credentials", place, "data", name);

  async function intoCache(reply: Reply): Promise<Redis> {
    const [port, host] = [Number(at(reply, "credentials", 1, "data", "port")), redis.host];
    const [username, password] = [data(reply, 1, "username"), data(reply, 1, "password")];
    const client = new Redis({
      host,
      port,
      username,
      password,
      lazyConnect: true,
      enableReadyCheck: false,
      maxRetriesPerRequest: 0,
      retryStrategy: () => null,
    });
    client.on("error", () => undefined);
    await client.connect();
    expect(await client.get("orders:1")).toBe("two pears");
    return client;
  }
  async function intoQueue(reply: Reply): Promise<ChannelModel> {
    const connection = await connect(data(reply, 2, "url"));
    connection.on("error", () => undefined);
    const channel = await connection.createChannel();
    channel.on("error", () => undefined);
    await channel.checkQueue("orders.new");
    return connection;
  }
  const complete = async (reply: Reply): Promise<void> => {
    const path = `/v1/tasks/${textAt(reply, "task", "id")}/complete`;
    accepted(await broker.api.call(textAt(reply, "access_token"), "POST", path, {}), path);
  };
  async function leaseOf(reply: Reply, place: number): Promise<Reply> {
    const id = textAt(reply, "credentials", place, "lease");
    return broker.api.admin("GET", `/v1/leases/${id}`);
  }
  const outcomeOf = async (reply: Reply, place: number): Promise<unknown> =>
    at(await leaseOf(reply, place), "outcome");
  const untilRevoked = async (reply: Reply, place: number): Promise<void> => {
    await until(
      `the end of the lease of ${LEASES[place]}`,
      END_MS_MAX,
      async () => (await outcomeOf(reply, place)) === "revoked",
    );
  };

  test("its completion ends all three: logins refused, open connections cut", async () => {
    const reply = await open("all-three");
    expect(listAt(reply, "credentials")).toHaveLength(3);
    const [cache, queue] = [await intoCache(reply), await intoQueue(reply)];
    const cut = Promise.all([closed(cache), closed(queue)]);
    await complete(reply);
    for (const place of [0, 1, 2]) await untilRevoked(reply, place);
    await cut;
    await expect(intoCache(reply)).rejects.toThrow(/WRONGPASS|closed|NOAUTH/);
    await expect(intoQueue(reply)).rejects.toThrow(/ACCESS[-_]REFUSED|403/i);
    expect(await admin.call("ACL", "USERS")).not.toContain(data(reply, 1, "username"));
  });

  test("a server that hangs holds up no other, its lease says so, and ends when it is back", async () => {
    const reply = await open("one-hangs");
    const queue = await intoQueue(reply);
    const cut = closed(queue);
    process.kill(redis.pid, "SIGSTOP");
    try {
      await complete(reply);
      for (const place of [0, 2]) await untilRevoked(reply, place);
      await cut;
      await until("the lease of the cache to say that it is stuck", END_MS_MAX, async () => {
        const lease = await leaseOf(reply, 1);
        return lease.text.includes('"stuck"');
      });
    } finally {
      process.kill(redis.pid, "SIGCONT");
    }
    await untilRevoked(reply, 1);
    expect(await admin.call("ACL", "USERS")).not.toContain(data(reply, 1, "username"));
  });
});

const OWN = { username: "mayfly", password: PASSWORD, tls: "unsafe_disable" };
const ROLE = {
  description: "Orders, to look at",
  ttl_max: "30m",
  data_class: "internal",
  reversibility: "read_only",
  environment: "test",
};
const CACHE_RIGHTS = [
  ...["setuser", "getuser", "deluser", "list", "save", "dryrun"].map((name) => `+acl|${name}`),
  ...["list", "kill", "setname"].map((name) => `+client|${name}`),
];

function found<T extends object>(server: T): Exclude<T, { readonly missing: string }> {
  if (isThere(server)) return server;
  throw new TypeError("isInstalled said that it is there");
}
const isThere = <T extends object>(server: T): server is Exclude<T, { readonly missing: string }> =>
  !("missing" in server);

const closed = (connection: {
  once(event: "close", listener: () => void): unknown;
}): Promise<void> => new Promise((resolve) => connection.once("close", () => resolve()));
