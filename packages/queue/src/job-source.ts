import { createPostgresBackend, Worker, type Job, type JobProgress } from "bullmq";
import { WORKER_OPTIONS } from "./bullmq-options.ts";
import { poolConfigOf } from "./postgres-connection.ts";
import { keyPrefixOf, QUEUE_NAME, type QueueConfig } from "./queue-config.ts";
import { connectRedis } from "./redis-connection.ts";

/** The part of a BullMQ job that the listener uses. */
export type ReceivedJob = Pick<Job<unknown>, "data" | "removeDeduplicationKey">;

/** The worker's end of BullMQ, connected but not running. */
export interface JobSource {
  /** Takes jobs until closed; rejects if BullMQ's loop ends otherwise. */
  run(): Promise<void>;
  /** Resolves once the store has answered; while Redis is away it may never. */
  answer(): Promise<void>;
  /** Waits for the jobs that run now. */
  close(): Promise<void>;
  /** Cuts the connections, whatever runs. */
  disconnect(): Promise<void>;
}

export interface JobSourceOptions {
  readonly config: QueueConfig;
  readonly concurrency: number;
  readonly timeoutMs: number;
  readonly onJob: (job: ReceivedJob) => Promise<void>;
  readonly onError: (error: Error) => void;
}

interface RunningWorker {
  on(event: "error", listener: (error: Error) => void): unknown;
  waitUntilReady(): Promise<unknown>;
  run(): Promise<void>;
  close(): Promise<void>;
  disconnect(): Promise<void>;
}

/** Connects, or rejects with nothing left behind. */
export async function openJobSource(options: JobSourceOptions): Promise<JobSource> {
  const { config, concurrency, timeoutMs, onJob, onError } = options;
  switch (config.kind) {
    case "redis": {
      const connection = await connectRedis(config, { kind: "patient", timeoutMs }, onError);
      const worker = new Worker<unknown>(QUEUE_NAME, onJob, {
        ...WORKER_OPTIONS,
        connection,
        concurrency,
        prefix: keyPrefixOf(config),
      });
      const answer = async (): Promise<void> => {
        await connection.ping();
      };
      return ready(worker, onError, answer, () => connection.disconnect());
    }
    case "postgres": {
      const worker = new Worker<
        unknown,
        void,
        string,
        ReturnType<typeof createPostgresBackend>,
        JobProgress,
        Parameters<typeof createPostgresBackend>[1]["connection"]
      >(
        QUEUE_NAME,
        onJob,
        { ...WORKER_OPTIONS, connection: poolConfigOf(config, timeoutMs), concurrency },
        createPostgresBackend,
      );
      // It is in the ledger's own PostgreSQL, of which others ask.
      return ready(
        worker,
        onError,
        async () => undefined,
        () => undefined,
      );
    }
    default:
      return config satisfies never;
  }
}

async function ready(
  worker: RunningWorker,
  onError: (error: Error) => void,
  answer: () => Promise<void>,
  release: () => void,
): Promise<JobSource> {
  worker.on("error", onError);
  const disconnect = async (): Promise<void> => {
    release();
    await worker.disconnect();
  };
  try {
    await worker.waitUntilReady();
  } catch (error) {
    // The failed start is what matters, not how its remains were put away.
    await worker.close().catch(() => undefined);
    await disconnect().catch(() => undefined);
    throw error;
  }
  return {
    run: () => worker.run(),
    answer,
    close: async () => {
      await worker.close();
      release();
    },
    disconnect,
  };
}
