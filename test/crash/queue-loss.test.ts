import { Redis } from "ioredis";
import postgres from "postgres";
import { describe, expect, test } from "vitest";
import { QUEUE_SCHEMA } from "@mayfly/composition";
import { startRedis } from "@mayfly/embedded";
import { isInstalled } from "@mayfly/testkit/vitest";
import {
  accepted,
  grantedOf,
  pause,
  READER,
  startInstallation,
  type Environment,
  type Granted,
  type Installation,
  type RunningBroker,
} from "../harness/index.ts";
import { isLetIn, opening, settled } from "./scene.ts";

const LEASES = 6;

/** Half of the tasks are completed after the loss, the other half's leases expire. */
async function endAfterLoss(
  mayfly: Installation,
  broker: RunningBroker,
  lose: () => Promise<void>,
): Promise<readonly string[]> {
  const granted: Granted[] = [];
  const outcomes: string[] = [];
  for (let index = 0; index < LEASES; index++) {
    const ttl = index % 2 === 0 ? "10m" : "4s";
    const credentials = [{ role: READER, ttl }];
    granted.push(
      grantedOf(await broker.api.exchange(opening(mayfly, `lost-${index}`, { credentials }))),
    );
  }
  await lose();
  for (const [index, one] of granted.entries()) {
    if (index % 2 !== 0) continue;
    const path = `/v1/tasks/${one.taskId}/complete`;
    // Not waited for: then the broker would end them itself.
    accepted(await broker.api.call(one.taskToken, "POST", path, {}), path);
    await lose();
  }
  for (const [index, one] of granted.entries()) {
    const [lease] = await settled(mayfly, `lost-${index}`);
    outcomes.push((await isLetIn(one.credential)) ? "still let in" : (lease?.outcome ?? "none"));
  }
  await mayfly.assertNothingLeaks(broker);
  return outcomes;
}

const ALL_REVOKED = Array.from({ length: LEASES }, () => "revoked");

async function start(settings: Environment) {
  const mayfly = await startInstallation({ settings });
  const broker = await mayfly.startBroker();
  await mayfly.register(broker);
  await mayfly.startWorker();
  return { mayfly, broker };
}

const hasRedis = await isInstalled("redis");

/** BullMQ locks its tables in an order of its own: whoever empties them may lose to it. */
async function despiteDeadlocks(statement: () => Promise<unknown>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await statement();
      return;
    } catch (error) {
      const code = error instanceof postgres.PostgresError ? error.code : "";
      if (code !== "40P01" || tries === 20) throw error;
      await pause(50);
    }
  }
}

describe.concurrent("the queue is lost while leases live", () => {
  test("on PostgreSQL, all its tables emptied: the sweep ends every lease", async () => {
    const { mayfly, broker } = await start({});
    await using _ = mayfly;
    const tables = await mayfly.ledger<{ name: string }[]>`
      SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
      WHERE schemaname = ${QUEUE_SCHEMA} AND tablename <> 'migration'`;
    expect(tables.length).toBeGreaterThan(0);
    const names = tables.map(({ name }) => name).join(", ");
    const outcomes = await endAfterLoss(mayfly, broker, async () => {
      await despiteDeadlocks(() => mayfly.ledger.unsafe(`TRUNCATE ${names} CASCADE`));
    });
    expect(outcomes).toEqual(ALL_REVOKED);
  });

  test("on PostgreSQL, its schema dropped: the sweep ends every lease", async () => {
    const { mayfly, broker } = await start({});
    await using _ = mayfly;
    const outcomes = await endAfterLoss(mayfly, broker, async () => {
      await despiteDeadlocks(() =>
        mayfly.ledger.unsafe(`DROP SCHEMA IF EXISTS ${QUEUE_SCHEMA} CASCADE`),
      );
    });
    expect(outcomes).toEqual(ALL_REVOKED);
  });

  describe.skipIf(!hasRedis)("on Redis", () => {
    test("flushed, and then killed for good: the sweep ends every lease", async () => {
      const redis = await startRedis();
      if (redis.missing !== undefined) throw new Error("redis-server went away");
      await using _server = redis;
      const { mayfly, broker } = await start({
        MAYFLY_QUEUE: "redis",
        MAYFLY_REDIS_URL: redis.url,
      });
      await using _ = mayfly;
      const client = new Redis(redis.url);
      let losses = 0;
      const outcomes = await endAfterLoss(mayfly, broker, async () => {
        losses++;
        if (losses === 1) {
          expect(await client.dbsize()).toBeGreaterThan(0);
          await client.flushall();
          client.disconnect();
        }
        if (losses === 2) redis.kill();
      });
      expect(outcomes).toEqual(ALL_REVOKED);
    });
  });
});
