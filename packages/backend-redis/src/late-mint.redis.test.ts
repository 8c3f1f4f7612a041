import { fileURLToPath } from "node:url";
import { requireOrExplain } from "@mayfly/embedded";
import { systemClock } from "@mayfly/host";
import { durationSeconds, type IssuePlan } from "@mayfly/spec";
import { killMint, startTcpFaultProxy, type TcpFaultProxy } from "@mayfly/testkit";
import { backendErrorOf, type BackendBench } from "@mayfly/testkit/contract";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { recover } from "./recover.ts";
import { benchOn, closeLane, configOf, laneOf } from "./testing/redis-bench.ts";
import { liveUsers } from "./testing/redis-upstream.ts";
import { startRedisServer, until, type RedisServer } from "./testing/redis-server.ts";

const program = await requireOrExplain("redis");

describe.runIf(program !== undefined)("a mint that arrives late, or on some servers only", () => {
  let server: RedisServer;
  let other: RedisServer;
  let proxy: TcpFaultProxy;
  /** Reaches the first server by the proxy. */
  let minter: BackendBench;

  beforeEach(async () => {
    [server, other] = await Promise.all([
      startRedisServer(program ?? ""),
      startRedisServer(program ?? ""),
    ]);
    proxy = await startTcpFaultProxy({ host: server.host, port: server.port });
    minter = benchOn([server], configOf([proxy.port, other.port], { call_seconds_max: 10 }));
  });
  afterEach(async () => {
    await minter.open.close();
    await proxy.stop();
    await Promise.all([server.stop(), other.stop()]);
  });

  /** Sends a mint of which the first server has read nothing when its deadline has passed. */
  async function freeze(): Promise<IssuePlan> {
    const plan = minter.plan();
    proxy.hold((piece) => piece.includes("SETUSER"));
    const { effect } = await backendErrorOf(
      minter.open.issue(plan, minter.issueCall({ seconds: 3 })),
    );
    expect(effect).toBe("unknown");
    expect(await liveUsers(server)).not.toContain(plan.externalName);
    expect(await liveUsers(other)).toContain(plan.externalName);
    return plan;
  }

  /** As another process, which is not behind the proxy; `after` is the longest call's seconds. */
  async function recoverDirectly(plan: IssuePlan, after: number): Promise<readonly string[]> {
    const lane = laneOf(configOf([server.port, other.port]));
    const outcomes: string[] = [];
    do {
      await systemClock.sleep(1_100);
      const { outcome } = await recover(lane, plan, durationSeconds(after), minter.recoverCall());
      outcomes.push(outcome);
    } while (outcomes.at(-1) === "wait");
    // Whoever sweeps asks again, until there is nothing.
    while (outcomes.at(-1) !== "absent") {
      const { outcome } = await recover(lane, plan, durationSeconds(after), minter.recoverCall());
      outcomes.push(outcome);
      await systemClock.sleep(1_100);
    }
    closeLane(lane);
    return outcomes;
  }

  test("what comes over the frozen connection after recover said absent makes nothing", async () => {
    const plan = await freeze();
    const outcomes = await recoverDirectly(plan, 1);
    expect(outcomes).toContain("destroyed");
    expect(outcomes.at(-1)).toBe("absent");
    proxy.release();
    // The server has read all that was sent to it by now: a new connection by the proxy works.
    expect(await minter.open.selfCheck([], minter.call())).toMatchObject({ problems: [] });
    expect(await liveUsers(server)).not.toContain(plan.externalName);
    expect(await liveUsers(other)).not.toContain(plan.externalName);
  });

  test("control: it would make the user again, had the connection not been killed", async () => {
    const plan = await freeze();
    await recoverDirectly(plan, 1_000);
    proxy.release();
    await until(async () => (await liveUsers(server)).includes(plan.externalName));
    // And then the listing finds it.
    if (minter.open.listing.kind === "none") throw new Error("no listing");
    const page = await minter.open.listing.list(null, minter.call());
    expect(page.marked).toMatchObject([
      { externalName: plan.externalName, mark: { kind: "ours" } },
    ]);
  });

  test("a mint whose answer is lost is unknown, and recover destroys it everywhere", async () => {
    const plan = minter.plan();
    await minter.open.selfCheck([], minter.call());
    const warm = await minter.open.issue(minter.plan(), minter.issueCall());
    expect(warm.expiresAt).toBeGreaterThan(0);
    proxy.hold((piece) => piece.includes("SETUSER"));
    const failing = backendErrorOf(minter.open.issue(plan, minter.issueCall({ seconds: 5 })));
    await systemClock.sleep(200);
    proxy.swallowAnswers();
    proxy.release();
    await until(async () => (await liveUsers(server)).includes(plan.externalName));
    proxy.cut();
    expect((await failing).effect).toBe("unknown");
    expect((await minter.recoverUntilSettled(plan)).outcome).toBe("destroyed");
    expect(await liveUsers(server)).not.toContain(plan.externalName);
    expect(await liveUsers(other)).not.toContain(plan.externalName);
  });

  test.each(["GETUSER", "SETUSER", "SAVE", null])(
    "a process that is killed when it is about to send %s leaves nothing",
    async (at) => {
      const plan = minter.plan();
      const config = configOf([proxy.port, other.port]);
      const program = fileURLToPath(new URL("testing/mint-process.ts", import.meta.url));
      await killMint({ program, config, plan, proxy, at });
      await minter.recoverUntilSettled(plan);
      expect(await liveUsers(server)).toEqual([]);
      expect(await liveUsers(other)).toEqual([]);
    },
  );

  test("recover does not touch a user of our name that bears no mark", async () => {
    const plan = minter.plan();
    await server.admin.call("ACL", "SETUSER", plan.externalName, "on", ">theirs");
    const error = await backendErrorOf(minter.open.recover(plan, null, minter.recoverCall()));
    expect(error.message).toContain("not touched");
    expect(await liveUsers(server)).toContain(plan.externalName);
  });

  test("a fresh tombstone is not listed, a forgotten one is, and another process ends it", async () => {
    const { listing } = minter.open;
    if (listing.kind === "none") throw new Error("no listing");
    const plan = minter.plan();
    expect((await minter.open.recover(plan, null, minter.recoverCall())).outcome).toBe("wait");
    expect((await listing.list(null, minter.call())).marked).toEqual([]);
    const { tombstoneRules } = await import("./lease-mark.ts");
    const old = tombstoneRules(plan.externalName, systemClock.now() - 3_600_000, minter.host);
    await server.admin.call("ACL", "SETUSER", plan.externalName, ...old);
    const [forgotten] = (await listing.list(null, minter.call())).marked;
    expect(forgotten?.mark.kind).toBe("ours");
    expect((await minter.recoverUntilSettled(plan)).outcome).toBe("absent");
    expect((await listing.list(null, minter.call())).marked).toEqual([]);
  });
});
