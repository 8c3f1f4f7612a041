import { expect, test } from "vitest";
import { Secret } from "@mayfly/spec";
import { createFakeClock, createRecordingLog, seededRandom } from "@mayfly/testkit";
import { createAlarmClock } from "./create-alarm-clock.ts";
import { createAlarmListener } from "./create-alarm-listener.ts";
import type { QueueConfig } from "./queue-config.ts";

const url = (text: string): Secret => Secret.of(text);
const redis = {
  kind: "redis",
  urls: [url("redis://:hunter2@h")],
  cluster: false,
  prefix: "m",
} as const;
const postgres = { kind: "postgres", connection: url("postgres://h/d"), schema: "queue" } as const;

test.each<[string, QueueConfig, string]>([
  ["a prefix with a brace", { ...redis, prefix: "{m" }, "queue: prefix"],
  ["an empty prefix", { ...redis, prefix: "" }, "queue: prefix"],
  ["another protocol", { ...redis, urls: [url("http://:hunter2@h")] }, "queue: urls"],
  ["no URL", { ...redis, urls: [url("hunter2")] }, "queue: urls"],
  ["two servers, no cluster", { ...redis, urls: [redis.urls[0], redis.urls[0]] }, "queue: urls"],
  ["a schema to quote", { ...postgres, schema: "Queue" }, "queue: schema"],
  ["a Redis for PostgreSQL", { ...postgres, connection: redis.urls[0] }, "queue: connection"],
])("%s is refused by name, at both ends, without showing the URL", (_name, config, message) => {
  const ports = { clock: createFakeClock(), log: createRecordingLog(), random: seededRandom(1) };
  for (const create of [createAlarmClock, createAlarmListener]) {
    expect(() => create({ config, ports })).toThrow(message);
    expect(() => create({ config, ports })).not.toThrow(/hunter2/);
  }
});

test("neither end connects before it is used", async () => {
  const ports = { clock: createFakeClock(), log: createRecordingLog(), random: seededRandom(1) };
  for (const config of [redis, postgres]) {
    await createAlarmClock({ config, ports }).close();
    await createAlarmListener({ config, ports }).close();
  }
  expect(ports.log.entries).toEqual([]);
});
