import { randomBytes } from "node:crypto";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { requireOrExplain, startRedis, type EmbeddedRedis } from "@mayfly/embedded";
import { systemClock, systemRandom } from "@mayfly/host";
import { instantMs, parseBackendId, parseId, Secret, type BackendId } from "@mayfly/spec";
import { createRecordingLog } from "@mayfly/testkit";
import { describeQueueContract } from "@mayfly/testkit/contract";
import { createAlarmClock } from "./create-alarm-clock.ts";
import { createAlarmListener } from "./create-alarm-listener.ts";
import type { RedisQueueConfig } from "./queue-config.ts";

const installed = (await requireOrExplain("redis")) !== undefined;
const ORDERS = parseBackendId("orders-db", "test");
const LEASE = parseId("lease", `lease_0199aabbccdd7eee8${"0".repeat(15)}`, "test");

async function started(port?: number): Promise<EmbeddedRedis> {
  const redis = await startRedis(port === undefined ? {} : { port });
  if (redis.missing !== undefined) throw new TypeError(`${redis.missing} is missing`);
  return redis;
}

function configFor(redis: Pick<EmbeddedRedis, "url">): RedisQueueConfig {
  const prefix = `t-${randomBytes(6).toString("hex")}`;
  return { kind: "redis", urls: [Secret.of(redis.url)], cluster: false, prefix };
}

/** The payloads of all jobs, as Redis has them. */
async function payloadsIn(client: Redis, prefix: string): Promise<readonly unknown[]> {
  const keys = await client.keys(`{${prefix}}:alarms:*`);
  const payloads: unknown[] = [];
  for (const key of keys) {
    if ((await client.type(key)) !== "hash") continue;
    const data = await client.hget(key, "data");
    if (data !== null) payloads.push(JSON.parse(data));
  }
  return payloads;
}

describe.runIf(installed)("on one Redis", () => {
  let redis: EmbeddedRedis;
  let client: Redis;
  beforeAll(async () => {
    redis = await started();
    client = new Redis(redis.url);
  });
  afterAll(async () => {
    client.disconnect();
    await redis.stop();
  });

  describeQueueContract("BullMQ on Redis", {
    create: async (log) => {
      const config = configFor(redis);
      const ports = { clock: systemClock, log, random: systemRandom };
      const alarmClock = createAlarmClock({ config, ports });
      const listener = createAlarmListener({ config, ports, closeTimeoutMs: 1_000 });
      return {
        clock: systemClock,
        alarmClock,
        listener,
        latenessMs: 600,
        pass: (ms) => systemClock.sleep(ms),
        payloads: () => payloadsIn(client, config.prefix),
        failuresReported: () => log.messages("error").length,
        close: async () => {
          await alarmClock.close();
          await listener.close();
        },
      };
    },
  });

  test("all keys carry the hash tag, so that a cluster keeps them in one slot", async () => {
    const config = configFor(redis);
    const ports = { clock: systemClock, log: createRecordingLog(), random: systemRandom };
    const alarmClock = createAlarmClock({ config, ports });
    await alarmClock.wakeNow([ORDERS]);
    const keys = await client.keys(`*${config.prefix}*`);
    expect(keys.length).toBeGreaterThan(2);
    expect(keys.filter((key) => !key.startsWith(`{${config.prefix}}:`))).toEqual([]);
    await alarmClock.close();
  });

  test("a job that is not ours wakes nobody and stops nothing", async () => {
    const config = configFor(redis);
    const log = createRecordingLog();
    const ports = { clock: systemClock, log, random: systemRandom };
    const alarmClock = createAlarmClock({ config, ports });
    const listener = createAlarmListener({ config, ports });
    await alarmClock.wakeNow([ORDERS]);
    const [key] = await client.keys(`{${config.prefix}}:alarms:now-*`);
    await client.hset(key ?? "", "data", JSON.stringify({ backendId: ORDERS, sql: "DROP ROLE" }));
    const rings: BackendId[] = [];
    await listener.listen(async (backendId) => {
      rings.push(backendId);
    });
    await expect
      .poll(() => log.messages("error"), { timeout: 20_000 })
      .toEqual(["a job that is not ours was dropped"]);
    expect(rings).toEqual([]);
    await alarmClock.wakeNow([ORDERS]);
    await expect.poll(() => rings, { timeout: 20_000 }).toEqual([ORDERS]);
    await Promise.all([alarmClock.close(), listener.close()]);
  });

  test("FLUSHALL loses alarms silently, and what is set afterwards rings", async () => {
    const config = configFor(redis);
    const ports = { clock: systemClock, log: createRecordingLog(), random: systemRandom };
    const alarmClock = createAlarmClock({ config, ports });
    const listener = createAlarmListener({ config, ports });
    const rings: BackendId[] = [];
    await listener.listen(async (backendId) => {
      rings.push(backendId);
    });
    // Not due until all of them are lost, on a busy machine too.
    const soon = instantMs(systemClock.now() + 3_000);
    await alarmClock.wakeAt({ leaseId: LEASE, backendId: ORDERS, at: soon, generation: 0 });
    await client.flushall();
    await systemClock.sleep(soon - systemClock.now() + 700);
    expect(rings).toEqual([]);
    await alarmClock.wakeAt({ leaseId: LEASE, backendId: ORDERS, at: soon, generation: 0 });
    await expect.poll(() => rings, { timeout: 20_000 }).toEqual([ORDERS]);
    await Promise.all([alarmClock.close(), listener.close()]);
  });
});

describe.runIf(installed)("when Redis is away", () => {
  const timeoutMs = 1_000;
  /** Drivers try again for longer, or for ever; a busy machine is late with what was due. */
  const BOUNDED_MS = 12_000;

  async function timed(call: () => Promise<void>): Promise<{ error: unknown; ms: number }> {
    const beganMs = systemClock.monotonicMs();
    const error: unknown = await call().then(
      () => null,
      (thrown: unknown) => thrown,
    );
    return { error, ms: systemClock.monotonicMs() - beganMs };
  }

  test("calls reject quickly, and work again after its restart, at both ends", async () => {
    const first = await started();
    const config = configFor(first);
    const log = createRecordingLog();
    const ports = { clock: systemClock, log, random: systemRandom };
    const alarmClock = createAlarmClock({ config, ports, timeoutMs });
    const listener = createAlarmListener({ config, ports, timeoutMs });
    const rings: BackendId[] = [];
    await listener.listen(async (backendId) => {
      rings.push(backendId);
    });
    await alarmClock.wakeNow([ORDERS]);
    await expect.poll(() => rings.length, { timeout: 20_000 }).toBe(1);

    first.kill();
    await first.exited;
    for (let count = 0; count < 3; count++) {
      const call = await timed(() => alarmClock.wakeNow([ORDERS]));
      expect(call.error).toMatchObject({ code: "internal" });
      expect(call.ms).toBeLessThan(BOUNDED_MS);
    }

    // The password is new with each start, so the second one is told the first one's.
    const second = await started(first.port);
    const admin = new Redis(second.url);
    await admin.config("SET", "requirepass", first.password);
    await expect
      .poll(() => timed(() => alarmClock.wakeNow([ORDERS])), { timeout: 20_000 })
      .toMatchObject({ error: null });
    await expect.poll(() => rings.length, { timeout: 20_000 }).toBeGreaterThan(1);
    log.assertNoSecret(first.password);
    admin.disconnect();
    await Promise.all([alarmClock.close(), listener.close()]);
    await second.stop();
    await first.stop();
  });

  test("a Redis that hangs costs a call no more than its bound", async () => {
    await using redis = await started();
    const ports = { clock: systemClock, log: createRecordingLog(), random: systemRandom };
    const alarmClock = createAlarmClock({ config: configFor(redis), ports, timeoutMs });
    await alarmClock.wakeNow([ORDERS]);
    process.kill(redis.pid, "SIGSTOP");
    try {
      const call = await timed(() => alarmClock.wakeNow([ORDERS]));
      expect(call.error).toMatchObject({ code: "internal" });
      expect(call.ms).toBeLessThan(BOUNDED_MS);
    } finally {
      process.kill(redis.pid, "SIGCONT");
    }
    await expect
      .poll(() => timed(() => alarmClock.wakeNow([ORDERS])), { timeout: 20_000 })
      .toMatchObject({ error: null });
    await alarmClock.close();
  });

  test("both ends start without it, and find it when it comes", async () => {
    const gone = await started();
    await gone.stop();
    const log = createRecordingLog();
    const ports = { clock: systemClock, log, random: systemRandom };
    const config = configFor(gone);
    const alarmClock = createAlarmClock({ config, ports, timeoutMs });
    const listener = createAlarmListener({ config, ports, timeoutMs });
    const rings: BackendId[] = [];
    const listening = await timed(() =>
      listener.listen(async (backendId) => {
        rings.push(backendId);
      }),
    );
    expect(listening.error).toBeNull();
    expect(listening.ms).toBeLessThan(BOUNDED_MS);
    const call = await timed(() => alarmClock.wakeNow([ORDERS]));
    expect(call.error).toMatchObject({ code: "internal" });
    expect(call.ms).toBeLessThan(BOUNDED_MS);

    await using late = await started(gone.port);
    const admin = new Redis(late.url);
    await admin.config("SET", "requirepass", gone.password);
    await expect
      .poll(() => timed(() => alarmClock.wakeNow([ORDERS])), { timeout: 20_000 })
      .toMatchObject({ error: null });
    await expect.poll(() => rings.length, { timeout: 20_000 }).toBeGreaterThan(0);
    log.assertNoSecret(gone.password);
    admin.disconnect();
    await Promise.all([alarmClock.close(), listener.close()]);
  });
});
