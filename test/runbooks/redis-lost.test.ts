import { describe, expect, test } from "vitest";
import { startRedis } from "@mayfly/embedded";
import { isInstalled } from "@mayfly/testkit/vitest";
import { accepted, grantedOf, startInstallation } from "../harness/index.ts";
import { isLetIn, opening, theSettled } from "../crash/scene.ts";
import { openRunbook } from "./runbook.ts";

const hasRedis = await isInstalled("redis");

async function redisAt(port?: number) {
  const redis = await startRedis(port === undefined ? {} : { port });
  if (redis.missing !== undefined) throw new Error("redis-server went away");
  return redis;
}

describe.skipIf(!hasRedis)("Redis is lost", () => {
  test("tasks end without it, and with an empty one in its place as before", async () => {
    const first = await redisAt();
    await using mayfly = await startInstallation({
      settings: { MAYFLY_QUEUE: "redis", MAYFLY_REDIS_URL: first.url },
    });
    const broker = await mayfly.startBroker();
    await mayfly.register(broker);
    await mayfly.startWorker();
    await using runbook = await openRunbook("redis-lost", mayfly);
    await runbook.set("MAYFLY_URL", broker.api.url);
    const complete = async (ref: string): Promise<void> => {
      const one = grantedOf(await broker.api.exchange(opening(mayfly, ref)));
      const path = `/v1/tasks/${one.taskId}/complete`;
      // Not waited for: then the broker would end them itself.
      accepted(await broker.api.call(one.taskToken, "POST", path, {}), path);
      expect((await theSettled(mayfly, ref)).outcome).toBe("revoked");
      expect(await isLetIn(one.credential)).toBe(false);
    };
    await complete("before");
    first.kill();
    await complete("without");
    await runbook.follow("1. See that ends go on without it");
    await using _again = await redisAt(first.port);
    await complete("after");
    await runbook.follow("It is over when");
    runbook.finish();
    await mayfly.assertNothingLeaks(broker);
  });
});
