import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { requireOrExplain, startRedis, type EmbeddedRedis } from "@mayfly/embedded";
import { runAgainst } from "../__fixtures__/run-against.ts";

const installed = (await requireOrExplain("redis")) !== undefined;

interface Found {
  readonly check: string;
  readonly result: string;
  readonly text: string;
}
async function queue(redisUrl: string): Promise<readonly Found[]> {
  const environment = { MAYFLY_QUEUE: "redis", MAYFLY_REDIS_URL: redisUrl };
  const { out } = await runAgainst("http://127.0.0.1:1", "doctor --json", { environment });
  return out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Found)
    .filter(({ check }) => check === "queue");
}

describe.runIf(installed)("doctor, of the queue's Redis,", () => {
  let redis: EmbeddedRedis;
  let client: Redis;
  beforeAll(async () => {
    const started = await startRedis();
    if (started.missing !== undefined) throw new TypeError(`${started.missing} is missing`);
    redis = started;
    client = new Redis(redis.url);
    await client.config("SET", "appendonly", "yes");
    await client.config("SET", "maxmemory-policy", "noeviction");
  });
  afterAll(async () => {
    client.disconnect();
    await redis.stop();
  });

  test("finds nothing where it serves, and that it evicts or keeps nothing", async () => {
    expect(await queue(redis.url)).toMatchObject([{ result: "good" }]);
    await client.config("SET", "maxmemory-policy", "allkeys-lru");
    await client.config("SET", "appendonly", "no");
    const found = await queue(redis.url);
    expect(found.map(({ text }) => text.slice(0, 30))).toEqual([
      "maxmemory-policy is allkeys-lru".slice(0, 30),
      "The append-only file is off: a".slice(0, 30),
    ]);
    await client.config("SET", "maxmemory-policy", "noeviction");
    await client.config("SET", "appendonly", "yes");
  });
});

test("doctor finds a Redis that does not answer, and shows no password of it", async () => {
  const [found] = await queue("redis://:hunter2@127.0.0.1:1");
  expect(found).toMatchObject({ result: "bad", check: "queue" });
  expect(found?.text).toContain("does not answer");
  expect(JSON.stringify(found)).not.toContain("hunter2");
});
