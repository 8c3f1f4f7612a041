import { Redis } from "ioredis";
import { expect, test } from "vitest";
import { QUEUE_SCHEMA } from "@mayfly/composition";
import { startRedis } from "@mayfly/embedded";
import { isInstalled } from "@mayfly/testkit/vitest";
import { startInstallation, until, type Environment } from "../harness/index.ts";
import { startCollector } from "../operations/otlp-collector.ts";
import { METRICS, metricsUrlOf } from "../operations/scrape.ts";
import { canary, findCanaries } from "./canaries.ts";
import { dumpDatabase } from "./ledger-dump.ts";
import { goEverywhere } from "./scenario.ts";

const DEBUG: Environment = { MAYFLY_LOG_LEVEL: "debug" };
const hasRedis = await isInstalled("redis");

async function start(settings: Environment) {
  const mayfly = await startInstallation({ settings });
  const broker = await mayfly.startBroker();
  await mayfly.register(broker);
  await mayfly.startWorker();
  return { mayfly, broker, logs: () => mayfly.processes.map((one) => one.output()).join("\n") };
}

test(
  "no secret is in a log, a reply, the ledger or the queue; one planted there is found",
  { retry: 0 },
  async () => {
    const { mayfly, broker, logs } = await start(DEBUG);
    await using _ = mayfly;
    const { canaries, replies } = await goEverywhere(mayfly, broker);
    expect(canaries.length).toBeGreaterThan(40);
    expect(replies.length).toBeGreaterThan(30);
    // Refusals of every kind were among them.
    const all = replies.join("\n");
    for (const code of [
      "denied",
      "invalid_identity",
      "invalid_task",
      "idempotency_mismatch",
      "invalid_dpop_proof",
      "invalid_client",
    ]) {
      expect(all).toContain(`"code":"${code}"`);
    }

    const said = logs();
    expect(said).toContain('"level":"debug"');
    expect(said).toContain("worker runs");
    expect(findCanaries(said, canaries)).toEqual([]);
    expect(findCanaries(all, canaries)).toEqual([]);
    const dump = await dumpDatabase(mayfly.ledger);
    expect(dump).toContain(`-- ${QUEUE_SCHEMA}.`);
    expect(dump).toContain(`mf_${mayfly.id}_`);
    expect(findCanaries(dump, canaries)).toEqual([]);

    // The same searches, with a secret where each of them looks.
    const [first] = canaries;
    const secret = first!.bytes.toString("utf8");
    const planted = JSON.stringify({ level: "debug", message: `took ${secret}` });
    expect(findCanaries(`${said}\n${planted}`, canaries)).toContain(first!.name);
    expect(findCanaries([...replies, `{"detail":"${secret}"}`].join("\n"), canaries)).toContain(
      first!.name,
    );
    await mayfly.ledger`
    UPDATE mayfly.leases SET last_error = ${secret}
    WHERE id = (SELECT max(id::text)::uuid FROM mayfly.leases)`;
    expect(findCanaries(await dumpDatabase(mayfly.ledger), canaries)).toContain(first!.name);
    const hidden = canary("bytes", "planted as bytes, not as text");
    await mayfly.ledger`
    UPDATE mayfly.leases SET sealed_handle = ${hidden.bytes}
    WHERE sealed_handle IS NOT NULL`;
    expect(findCanaries(await dumpDatabase(mayfly.ledger), [hidden])).toEqual(["bytes"]);
  },
);

test("no secret is in a metric or a span; one planted there is found", { retry: 0 }, async () => {
  await using collector = await startCollector("takes");
  const { mayfly, broker } = await start({
    ...DEBUG,
    ...METRICS,
    MAYFLY_TRACES_URL: collector.url,
  });
  await using _ = mayfly;
  const { canaries } = await goEverywhere(mayfly, broker);
  const metrics = await Promise.all(
    mayfly.processes.map(async (one) => {
      const response = await fetch(await metricsUrlOf(one));
      return response.text();
    }),
  );
  const counted = metrics.join("\n");
  expect(counted).toContain('route="/token"');
  expect(findCanaries(counted, canaries)).toEqual([]);
  await until("spans of the exchanges", 90_000, async () =>
    collector.spans.some(({ name }) => name === "exchange"),
  );
  const spans = (): string => collector.raw().toString("latin1");
  expect(findCanaries(spans(), canaries)).toEqual([]);

  const [first] = canaries;
  const secret = first!.bytes.toString("utf8");
  const planted = `${counted}\nmayfly_planted{subject="${secret}"} 1`;
  expect(findCanaries(planted, canaries)).toContain(first!.name);
  await fetch(collector.url, { method: "POST", headers: { "x-planted": secret } });
  expect(findCanaries(spans(), canaries)).toContain(first!.name);
});

test(
  "an unknown table would be dumped too: the queue's jobs are in it while they wait",
  { retry: 0 },
  async () => {
    const { mayfly } = await start(DEBUG);
    await using _ = mayfly;
    const mark = canary("mark", "a mark in a table of the queue");
    const tables = await mayfly.ledger<{ name: string }[]>`
    SELECT tablename AS name FROM pg_tables WHERE schemaname = ${QUEUE_SCHEMA}`;
    expect(tables.map(({ name }) => name).join(" ")).toMatch(/job/);
    await mayfly.ledger.unsafe(`CREATE TABLE ${QUEUE_SCHEMA}.planted (what text)`);
    await mayfly.ledger.unsafe(
      `INSERT INTO ${QUEUE_SCHEMA}.planted VALUES ('${String(mark.bytes)}')`,
    );
    expect(findCanaries(await dumpDatabase(mayfly.ledger), [mark])).toEqual(["mark"]);
  },
);

test.skipIf(!hasRedis)(
  "no secret goes to Redis; one that is sent there is found",
  { retry: 0 },
  async () => {
    const redis = await startRedis();
    if (redis.missing !== undefined) throw new Error("redis-server went away");
    await using _server = redis;
    const client = new Redis(redis.url);
    const monitor = await client.duplicate().monitor();
    try {
      const commands: string[] = [];
      monitor.on("monitor", (_time: string, args: readonly string[]) => {
        commands.push(args.join(" "));
      });
      const { mayfly, broker, logs } = await start({
        ...DEBUG,
        MAYFLY_QUEUE: "redis",
        MAYFLY_REDIS_URL: redis.url,
      });
      await using _ = mayfly;
      const { canaries } = await goEverywhere(mayfly, broker);
      const all = [...canaries, canary("the password of Redis", redis.password)];
      await until("jobs at Redis", 90_000, async () => commands.join("\n").includes("lease_"));
      expect(findCanaries(commands.join("\n"), all)).toEqual([]);
      expect(findCanaries(logs(), all)).toEqual([]);
      expect(findCanaries(await dumpDatabase(mayfly.ledger), all)).toEqual([]);
      expect(findCanaries(await dumpRedis(client), all)).toEqual([]);
      const [first] = all;
      await client.set("planted", first!.bytes.toString("utf8"));
      await until("the planted one", 90_000, async () =>
        findCanaries(commands.join("\n"), all).includes(first!.name),
      );
      expect(findCanaries(await dumpRedis(client), all)).toContain(first!.name);
    } finally {
      monitor.disconnect();
      client.disconnect();
    }
  },
);

/** Every key of the server with its value, as `DUMP` writes it: small ones are not compressed. */
async function dumpRedis(client: Redis): Promise<string> {
  const keys = await client.keys("*");
  const values = await Promise.all(keys.map((key) => client.dumpBuffer(key)));
  const read = await Promise.all(keys.map((key) => readValue(client, key)));
  return [...keys, ...values.map((value) => value?.toString("latin1") ?? ""), ...read].join("\n");
}

async function readValue(client: Redis, key: string): Promise<string> {
  switch (await client.type(key)) {
    case "string":
      return (await client.get(key)) ?? "";
    case "hash":
      return JSON.stringify(await client.hgetall(key));
    default:
      return "";
  }
}
