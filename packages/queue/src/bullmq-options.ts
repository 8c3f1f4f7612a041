import type { BulkJobOptions, DefaultJobOptions } from "bullmq";
import type { AlarmJob } from "./alarm-job.ts";

/**
 * How long a wake-up stays the only one of its backend at most. The listener lifts that when it
 * begins the pass; this is for the case that the listener could not.
 */
const ONCE_WHILE_WAITING_MS = 5_000;

/** One attempt: the row is swept anyway, so a retry by the queue would be a second, worse one. */
const JOB_OPTIONS: DefaultJobOptions = {
  attempts: 1,
  removeOnComplete: true,
  removeOnFail: { count: 1_000, age: 86_400 },
  stackTraceLimit: 0,
};

export interface BullmqJob {
  readonly name: string;
  readonly data: AlarmJob["payload"];
  readonly opts: BulkJobOptions;
}

export function bullmqJobOf(job: AlarmJob, nowMs: number): BullmqJob {
  return {
    name: job.name,
    data: job.payload,
    opts: {
      ...JOB_OPTIONS,
      jobId: job.id,
      timestamp: nowMs,
      ...(job.delayMs > 0 ? { delay: job.delayMs } : {}),
      ...(job.onceWhileWaiting === null
        ? {}
        : { deduplication: { id: job.onceWhileWaiting, ttl: ONCE_WHILE_WAITING_MS } }),
    },
  };
}

/** Nobody reads BullMQ's own event stream; its default is 10,000 entries. */
export const STREAM_OPTIONS = { events: { maxLen: 100 } } as const;

export const WORKER_OPTIONS = {
  autorun: false,
  /** The pass of a worker that died is taken over once; it claims rows, so twice is harmless. */
  maxStalledCount: 1,
  stalledInterval: 15_000,
  lockDuration: 30_000,
  /** After a failed fetch. BullMQ's default of 15 s is as long as a sweep. */
  runRetryDelay: 1_000,
} as const;
