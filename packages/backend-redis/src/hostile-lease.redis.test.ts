import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect as connectTcp, createServer, type AddressInfo } from "node:net";
import { requireOrExplain } from "@mayfly/embedded";
import { plusSeconds, type Issued } from "@mayfly/spec";
import {
  backendErrorOf,
  freshLeaseId,
  revoking,
  type BackendBench,
} from "@mayfly/testkit/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Redis } from "ioredis";
import { benchOn, configOf } from "./testing/redis-bench.ts";
import { accountOf, liveUsers } from "./testing/redis-upstream.ts";
import { BROKER_RULES, startRedisServer, type RedisServer } from "./testing/redis-server.ts";

const program = await requireOrExplain("redis");
const refused = /NOPERM/;

describe.runIf(program !== undefined)("a lease that does what it can", () => {
  let server: RedisServer;
  let bench: BackendBench;
  beforeAll(async () => {
    server = await startRedisServer(program ?? "");
    bench = benchOn([server], configOf([server.port], { call_seconds_max: 2 }));
    await server.admin.mset("orders:1", "one", "secrets:1", "no");
  });
  afterAll(async () => {
    await bench.open.close();
    await server.stop();
  });

  async function lease(role: object): Promise<{ issued: Issued; redis: Redis }> {
    const plan = bench.backend.plan({
      installation: bench.host.installation,
      leaseId: freshLeaseId(),
      expiresAt: plusSeconds(bench.upstream.clock.now(), 60),
      role: bench.backend.parseRole(role),
      params: {},
      holder: { subject: "spiffe://acme.test/agent", actors: [], confirmation: null },
    });
    const issued = await bench.open.issue(plan, bench.issueCall());
    const redis = server.connect(...accountOf(issued.material));
    await redis.connect();
    return { issued, redis };
  }
  async function end(issued: Issued): Promise<void> {
    await revoking(bench.open).revoke(issued.handle, bench.call());
    expect(await liveUsers(server)).not.toContain(accountOf(issued.material)[0]);
  }

  test("gets its channels alone where the server's default is all of them", async () => {
    await server.admin.config("SET", "acl-pubsub-default", "allchannels");
    try {
      const keys = { read: ["orders:*"] };
      const none = await lease({ keys, commands: ["@pubsub", "@connection"] });
      await expect(none.redis.publish("orders", "x")).rejects.toThrow(refused);
      const one = await lease({ keys, channels: ["orders"], commands: ["@pubsub", "@connection"] });
      expect(await one.redis.publish("orders", "x")).toBe(0);
      await expect(one.redis.publish("carts", "x")).rejects.toThrow(refused);
      for (const { issued } of [none, one]) await end(issued);
    } finally {
      await server.admin.config("SET", "acl-pubsub-default", "resetchannels");
    }
  });
  test("with every category it gets keys of its patterns, and no power over the server", async () => {
    const { issued, redis } = await lease({
      keys: { read: ["orders:*"], write: ["carts:*"] },
      channels: ["orders"],
      commands: ["@all"],
    });
    expect(await redis.get("orders:1")).toBe("one");
    expect(await redis.set("carts:1", "x")).toBe("OK");
    for (const denied of [
      redis.get("secrets:1"),
      redis.get("carts:1"),
      redis.set("orders:1", "two"),
      redis.publish("payments", "x"),
      redis.call("ACL", "SETUSER", issued.material["username"] as string, "+@all"),
      redis.call("CONFIG", "SET", "requirepass", ""),
      redis.call("CLIENT", "KILL", "TYPE", "normal"),
      redis.call("EVAL", "return 1", "0"),
      redis.call("FUNCTION", "LOAD", "#!lua name=x\nredis.register_function('f', function() end)"),
      redis.call("KEYS", "*"),
      redis.call("FLUSHALL"),
      redis.call("REPLICAOF", "127.0.0.1", "1"),
    ]) {
      await expect(denied).rejects.toThrow(refused);
    }
    expect(await redis.publish("orders", "x")).toBe(0);
    await end(issued);
  });

  test("what a role names one by one is given, and what it denies is taken away", async () => {
    const { issued, redis } = await lease({
      keys: { read: ["orders:*"] },
      commands: ["@read", "@scripting", "ping"],
      dangerous: ["keys"],
      deny: ["scan"],
    });
    expect(await redis.keys("orders:*")).toEqual(["orders:1"]);
    const get = "return redis.call('get', ARGV[1])";
    expect(await redis.call("EVAL_RO", get, "0", "orders:1")).toBe("one");
    // Keys that a script does not declare are looked at when it uses them.
    await expect(redis.call("EVAL_RO", get, "0", "secrets:1")).rejects.toThrow(
      /NOPERM|can't access|No permissions to access/,
    );
    await expect(redis.scan("0")).rejects.toThrow(refused);
    await expect(redis.call("SCRIPT", "FLUSH")).rejects.toThrow(refused);
    await expect(redis.call("FUNCTION", "FLUSH")).rejects.toThrow(refused);
    await end(issued);
  });

  test("containers of commands that a role names bring none that is dangerous", async () => {
    const { issued, redis } = await lease({
      keys: { read_write: ["*"] },
      commands: ["acl", "client", "cluster", "config", "function", "latency", "module", "script"],
    });
    const name = String(accountOf(issued.material)[0]);
    for (const command of [
      ["ACL", "SETUSER", name, "+@all"],
      ["ACL", "LIST"],
      ["CLIENT", "LIST"],
      ["CLIENT", "KILL", "ID", "1"],
      ["CLIENT", "PAUSE", "1"],
      ["CLUSTER", "RESET"],
      ["CONFIG", "SET", "maxmemory", "1"],
      ["CONFIG", "GET", "requirepass"],
      ["FUNCTION", "FLUSH"],
      ["LATENCY", "RESET"],
      ["MODULE", "LIST"],
      ["SCRIPT", "KILL"],
      ["SCRIPT", "FLUSH"],
    ] as const) {
      const [first, ...rest] = command;
      await expect(redis.call(first, ...rest), command.join(" ")).rejects.toThrow(refused);
    }
    expect(await redis.call("ACL", "WHOAMI")).toBe(name);
    await end(issued);
  });

  test("a lease that has taken every connection is ended over the one that is kept", async () => {
    const { issued, redis } = await lease({ commands: ["@connection"] });
    await revoking(bench.open).probe(issued.handle, bench.call());
    const [, before = "0"] = await server.admin.config("GET", "maxclients");
    await server.admin.config("SET", "maxclients", "32");
    const crowd = Array.from({ length: 40 }, () => server.connect(...accountOf(issued.material)));
    await Promise.allSettled(crowd.map((one) => one.connect()));
    await expect(server.connect(...accountOf(issued.material)).connect()).rejects.toThrow(/./);
    await end(issued);
    await server.admin.config("SET", "maxclients", before);
    await expect(redis.ping()).rejects.toThrow(/closed/);
    for (const one of crowd) one.disconnect();
  });

  test("sessions that subscribe, block or stand in a transaction are cut", async () => {
    const { issued, redis } = await lease({
      keys: { read_write: ["orders:*"] },
      channels: ["orders"],
      commands: ["@all"],
    });
    const others = [0, 1].map(() => server.connect(...accountOf(issued.material)));
    for (const other of others) await other.connect();
    await redis.subscribe("orders");
    const blocked = others[0]!.blpop("orders:queue", 0);
    blocked.catch(() => undefined);
    await others[1]!.call("MULTI");
    await others[1]!.call("SET", "orders:9", "nine");
    await end(issued);
    await expect(blocked).rejects.toThrow(/closed/);
    await expect(others[1]!.call("EXEC")).rejects.toThrow(/closed|writeable/);
    expect(await server.admin.exists("orders:9")).toBe(0);
    const left = String(await server.admin.client("LIST"));
    expect(left).not.toContain(`user=${accountOf(issued.material)[0]}`);
  });

  test("a script without end holds up the end, which says so, and goes on after SCRIPT KILL", async () => {
    const { issued, redis } = await lease({ commands: ["@scripting"] });
    await server.admin.config("SET", "busy-reply-threshold", "100");
    const running = redis.eval("while true do end", 0);
    running.catch(() => undefined);
    const error = await backendErrorOf(revoking(bench.open).revoke(issued.handle, bench.call()));
    expect(error.retry.kind).toBe("after");
    await server.admin.script("KILL");
    await expect(running).rejects.toThrow(/closed|killed/);
    await end(issued);
  });

  test("a name that it gives its connection does not make it one of the broker's", async () => {
    const { issued, redis } = await lease({ commands: ["@connection"] });
    await redis.client("SETNAME", "mayfly-mint:contract:tested-backend");
    const plan = bench.plan();
    expect((await bench.recoverUntilSettled(plan)).outcome).toBe("absent");
    expect(await redis.ping()).toBe("PONG");
    await end(issued);
  });
});

describe.runIf(program !== undefined)("the rights of the broker's user", () => {
  test("are named by the check, each that is taken away alone, with the rule that gives it", async () => {
    const server = await startRedisServer(program ?? "");
    const bench = benchOn([server], configOf([server.port]));
    const told = async () => (await bench.open.selfCheck([], bench.call())).problems;
    // Only a cluster is asked for its nodes.
    const rights = BROKER_RULES.map((rule) => rule.slice(1)).filter(
      (rule) => rule.includes("|") && !rule.startsWith("cluster|"),
    );
    expect(rights).toHaveLength(9);
    const page = await readFile(
      new URL("../../../docs/backends/redis.md", import.meta.url),
      "utf8",
    );
    for (const right of rights) {
      expect(page).toContain(`'+${right}'`);
      await server.admin.call("ACL", "SETUSER", "mayfly", `-${right}`);
      const fix = `ACL SETUSER mayfly +${right}`;
      expect(await told()).toMatchObject([{ code: "right_missing", fix }]);
      await server.admin.call(...(fix.split(" ") as [string, ...string[]]));
    }
    expect(await told()).toEqual([]);
    await bench.open.close();
    await server.stop();
  });
});

describe.runIf(program !== undefined)("a server without an ACL file", () => {
  test("serves leases, and the check says that a restart loses them", async () => {
    const server = await startRedisServer(program ?? "", { aclFile: false });
    const bench = benchOn([server], configOf([server.port]));
    const issued = await bench.open.issue(bench.plan(), bench.issueCall());
    const { problems, facts } = await bench.open.selfCheck([], bench.call());
    expect(problems).toEqual([]);
    expect(facts).toMatchObject({ nodes: [{ acl_file: false }] });
    await revoking(bench.open).revoke(issued.handle, bench.call());
    expect(await liveUsers(server)).toEqual([]);
    await bench.open.close();
    await server.stop();
  });

  test("one that lets in everybody without a password is refused by the check", async () => {
    const server = await startRedisServer(program ?? "");
    const bench = benchOn([server], configOf([server.port]));
    await server.admin.call("ACL", "SETUSER", "default", "nopass");
    const { problems } = await bench.open.selfCheck([], bench.call());
    expect(problems.map(({ code }) => code)).toEqual(["default_user_open"]);
    await bench.open.close();
    await server.stop();
  });

  test("an address that leads to several servers is refused by the check", async () => {
    const servers = await Promise.all([0, 1].map(() => startRedisServer(program ?? "")));
    let turn = 0;
    const balancer = createServer((client) => {
      const target = servers[turn++ % servers.length]!;
      const onward = connectTcp(target.port, target.host);
      for (const socket of [client, onward]) socket.on("error", () => undefined);
      client.pipe(onward).pipe(client);
    });
    balancer.listen(0, "127.0.0.1");
    await once(balancer, "listening");
    const { port } = balancer.address() as AddressInfo;
    const bench = benchOn(servers, configOf([port]));
    const { problems } = await bench.open.selfCheck([], bench.call());
    expect(problems.map(({ code }) => code)).toEqual(["several_servers"]);
    for (const { admin } of servers) {
      expect(String(await admin.call("ACL", "USERS"))).not.toContain("trial");
    }
    balancer.close();
    await bench.open.close();
    await Promise.all(servers.map((server) => server.stop()));
  });

  test("a role that names a command which the server has not is found", async () => {
    const server = await startRedisServer(program ?? "");
    const bench = benchOn([server], configOf([server.port]));
    const role = bench.backend.parseRole({ commands: ["get", "gett"] });
    const { problems } = await bench.open.selfCheck([role], bench.call());
    expect(problems.map(({ code }) => code)).toEqual(["role_refused"]);
    expect(String(await server.admin.call("ACL", "USERS"))).not.toContain("trial");
    await bench.open.close();
    await server.stop();
  });
});
