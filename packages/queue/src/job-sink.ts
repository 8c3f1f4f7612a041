import { createPostgresBackend, Queue, type Job } from "bullmq";
import { Redis } from "ioredis";
import type { Clock } from "@mayfly/spec";
import type { AlarmJob, AlarmPayload } from "./alarm-job.ts";
import { bullmqJobOf, STREAM_OPTIONS, type BullmqJob } from "./bullmq-options.ts";
import { poolConfigOf } from "./postgres-connection.ts";
import { keyPrefixOf, QUEUE_NAME, type QueueConfig } from "./queue-config.ts";
import { connectRedis } from "./redis-connection.ts";
import { turnWrites } from "./turn-writes.ts";

/** The producer's end of BullMQ, connected. */
export interface JobSink {
  add(jobs: readonly AlarmJob[], nowMs: number): Promise<void>;
  close(): Promise<void>;
}

/** The part of BullMQ's `Queue` that is the same on both stores. */
interface Adder {
  add(name: string, data: AlarmPayload, opts: BullmqJob["opts"]): Promise<Job<AlarmPayload>>;
  addBulk(jobs: BullmqJob[]): Promise<Job<AlarmPayload>[]>;
  close(): Promise<void>;
}

/**
 * Connects, or rejects with nothing left behind. After that the drivers reconnect by themselves; a
 * call while the store is away rejects. What they say meanwhile goes to `onError`.
 */
export async function openJobSink(
  config: QueueConfig,
  timeoutMs: number,
  onError: (error: Error) => void,
  clock: Pick<Clock, "turn">,
): Promise<JobSink> {
  switch (config.kind) {
    case "redis": {
      const connection = await connectRedis(config, { kind: "fail-fast", timeoutMs }, onError);
      const queue = new Queue<AlarmPayload>(QUEUE_NAME, {
        connection,
        prefix: keyPrefixOf(config),
        streams: STREAM_OPTIONS,
      });
      queue.on("error", onError);
      // The nodes of a cluster each have a connection, of which one is written to.
      const began = connection instanceof Redis ? turnWrites(connection, clock) : () => undefined;
      return ready(queue, async () => connection.disconnect(), began);
    }
    case "postgres": {
      const queue = new Queue<
        AlarmPayload,
        unknown,
        string,
        AlarmPayload,
        unknown,
        string,
        ReturnType<typeof createPostgresBackend>,
        Parameters<typeof createPostgresBackend>[1]["connection"]
      >(
        QUEUE_NAME,
        { connection: poolConfigOf(config, timeoutMs), streams: STREAM_OPTIONS },
        createPostgresBackend,
      );
      queue.on("error", onError);
      return ready(queue, async () => undefined);
    }
    default:
      return config satisfies never;
  }
}

async function ready(
  queue: Adder & { waitUntilReady(): Promise<unknown> },
  release: () => Promise<void>,
  began: () => void = () => undefined,
): Promise<JobSink> {
  const close = async (): Promise<void> => {
    try {
      await queue.close();
    } finally {
      await release();
    }
  };
  try {
    await queue.waitUntilReady();
  } catch (error) {
    // The failed start is what matters, not how its remains were put away.
    await close().catch(() => undefined);
    throw error;
  }
  return {
    add: async (jobs, nowMs) => {
      const [first, ...rest] = jobs.map((job) => bullmqJobOf(job, nowMs));
      if (first === undefined) return;
      began();
      if (rest.length === 0) await queue.add(first.name, first.data, first.opts);
      else await queue.addBulk([first, ...rest]);
    },
    close,
  };
}
