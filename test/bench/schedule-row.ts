import { randomBytes } from "node:crypto";
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { systemClock, systemRandom } from "@mayfly/host";
import { createAlarmClock } from "@mayfly/queue";
import { instantMs, parseBackendId, parseId, Secret } from "@mayfly/spec";
import { createRecordingLog } from "@mayfly/testkit";
import type { BenchRow } from "./bench-row.ts";
import { profileHere } from "./cpu-profile.ts";
import { interleave, median } from "./interleave.ts";

/** As many as a broker has exchanges under way. */
const CLIENTS = 64;
const WANTED = 0.9;
const FUNCTIONS = 12;
const DELAY_MS = 3_600_000;

/** An alarm at the end of a lease, as the exchange sets it, against a bare delayed job. */
export const SCHEDULE: BenchRow = {
  name: "schedule",
  title: `scheduling an end, c=${CLIENTS}, against bare BullMQ add`,
  target: { ratio: WANTED, is: "at_least" },
  run: async (world) => {
    const { redisUrl } = world;
    if (redisUrl === null) {
      world.say("there is no Redis: schedule is left out");
      return null;
    }
    const ours = await mayflyEnd(redisUrl);
    const theirs = await bareEnd(redisUrl);
    try {
      const broken: string[] = [];
      const measure = async (end: SchedulingEnd): Promise<number> => {
        await end.clear();
        await load(end, 1);
        await end.clear();
        const { added, perSecond } = await load(end, world.seconds);
        const kept = await end.count();
        if (kept !== added) broken.push(`${added} were added and ${kept} are in the queue`);
        await end.clear();
        return perSecond;
      };
      const result = await interleave(
        world.rounds,
        () => measure(ours),
        () => measure(theirs),
        (a, b) => a / b,
      );
      const profile =
        result.ratio < WANTED ? await profileHere(FUNCTIONS, () => load(ours, world.seconds)) : [];
      return {
        ratio: result.ratio,
        spread: result.spread,
        facts: [
          `ends scheduled: ${median(result.ours).toFixed(0)}/s; ` +
            `bare delayed jobs: ${median(result.theirs).toFixed(0)}/s`,
          `both acknowledged by Redis ${await versionOf(redisUrl)}, and counted there afterwards`,
          ...profile.map((line) => `the main thread: ${line}`),
        ],
        broken,
      };
    } finally {
      await ours.close();
      await theirs.close();
    }
  },
};

interface SchedulingEnd {
  add(): Promise<void>;
  /** Delayed jobs in the store. */
  count(): Promise<number>;
  clear(): Promise<void>;
  close(): Promise<void>;
}

/** The broker's own port, with all of its bounds and deadlines. */
async function mayflyEnd(redisUrl: string): Promise<SchedulingEnd> {
  const prefix = "bench";
  const alarms = createAlarmClock({
    config: { kind: "redis", urls: [Secret.of(redisUrl)], cluster: false, prefix },
    ports: { clock: systemClock, random: systemRandom, log: createRecordingLog() },
  });
  const backendId = parseBackendId("orders-db", "backend");
  const { count, clear, close } = inRedis(redisUrl, `{${prefix}}:alarms`);
  return {
    add: () =>
      alarms.wakeAt({
        leaseId: parseId("lease", leaseText(), "lease"),
        backendId,
        at: instantMs(systemClock.now() + DELAY_MS),
        generation: 0,
      }),
    count,
    clear,
    close: async () => {
      await alarms.close();
      await close();
    },
  };
}

/** The same payload, and no option but the delay. */
async function bareEnd(redisUrl: string): Promise<SchedulingEnd> {
  const connection = new Redis(redisUrl, { maxRetriesPerRequest: null });
  const queue = new Queue("ends", { connection, prefix: "{bare}" });
  await queue.waitUntilReady();
  const { count, clear, close } = inRedis(redisUrl, "{bare}:ends");
  return {
    add: async () => {
      const data = { leaseId: leaseText(), backendId: "orders-db" };
      await queue.add("wake-at", data, { delay: DELAY_MS });
    },
    count,
    clear,
    close: async () => {
      await queue.close();
      connection.disconnect();
      await close();
    },
  };
}

/** An id as leases have it: its version and variant are those of a UUIDv7. */
function leaseText(): string {
  const hex = randomBytes(16).toString("hex");
  return `lease_${hex.slice(0, 12)}7${hex.slice(13, 16)}8${hex.slice(17)}`;
}

function inRedis(url: string, key: string): Pick<SchedulingEnd, "count" | "clear" | "close"> {
  const redis = new Redis(url);
  return {
    count: () => redis.zcard(`${key}:delayed`),
    // This Redis is the benchmark's alone. What BullMQ keeps of its queue it writes again.
    clear: async () => {
      await redis.flushall();
    },
    close: async () => {
      redis.disconnect();
    },
  };
}

async function versionOf(url: string): Promise<string> {
  const redis = new Redis(url);
  try {
    return /redis_version:(\S+)/.exec(await redis.info("server"))?.[1] ?? "of unknown version";
  } finally {
    redis.disconnect();
  }
}

async function load(
  end: SchedulingEnd,
  seconds: number,
): Promise<{ readonly added: number; readonly perSecond: number }> {
  let added = 0;
  const from = performance.now();
  const client = async (): Promise<void> => {
    while (performance.now() - from < seconds * 1000) {
      await end.add();
      added += 1;
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return { added, perSecond: (added * 1000) / (performance.now() - from) };
}
