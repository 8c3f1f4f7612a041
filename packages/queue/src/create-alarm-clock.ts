import { AsyncLocalStorage } from "node:async_hooks";
import { BrokerError, type AlarmClock, type Random } from "@mayfly/spec";
import { jobOfAlarm, jobOfWakeNow, type AlarmJob } from "./alarm-job.ts";
import { openJobSink, type JobSink } from "./job-sink.ts";
import { checkQueueConfig, type QueueConfig, type QueuePorts } from "./queue-config.ts";
import { seldom } from "./seldom.ts";
import { withoutAttachments } from "./without-attachments.ts";
import { createSharedDeadline } from "./shared-deadline.ts";
import { within } from "./within.ts";

export interface AlarmClockOptions {
  readonly config: QueueConfig;
  readonly ports: QueuePorts & { readonly random: Random };
  /** Every call settles within it. Default 2 s: a sweep comes sooner than a longer wait helps. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 2_000;
/** After a failed connection, calls reject at once for this long instead of trying again. */
const RECONNECT_AFTER_MS = 250;
/** What may be under way at once. Each waits `timeoutMs` at most, so this bounds memory too. */
const MAX_CALLS = 2_000;
/** Backends per round trip of `wakeNow`. */
const CHUNK = 100;

/**
 * The broker's end of the queue. Makes no connection before the first call, and starts whether or
 * not the store does: losing the queue delays an end by one sweep and stops nothing.
 *
 * Calls reject with `busy` beyond {@link MAX_CALLS}, and with `internal` and a cause otherwise.
 */
export function createAlarmClock(options: AlarmClockOptions): AlarmClock {
  const { config, ports, timeoutMs = TIMEOUT_MS } = options;
  checkQueueConfig(config);
  const { clock } = ports;
  const sink = reconnecting(options, timeoutMs);
  const deadline = createSharedDeadline(clock, timeoutMs);
  let calls = 0;

  const add = async (jobs: readonly AlarmJob[]): Promise<void> => {
    if (calls >= MAX_CALLS) {
      throw new BrokerError("busy", "the queue has too many calls under way", {
        retryAfterSeconds: 1,
      });
    }
    calls++;
    try {
      await deadline.within("the queue", async (isLate) => {
        const opened = await sink.opened();
        for (let at = 0; at < jobs.length; at += CHUNK) {
          // Once the caller has been told no, nothing more is sent.
          if (isLate()) return;
          await opened.add(jobs.slice(at, at + CHUNK), clock.now());
        }
      });
    } catch (error) {
      if (BrokerError.is(error)) throw error;
      throw new BrokerError("internal", "the queue took no wake-up; the sweep will do it", {
        cause: withoutAttachments(error),
      });
    } finally {
      calls--;
    }
  };

  return {
    wakeAt: async (alarm) => add([jobOfAlarm(alarm, clock)]),
    wakeNow: async (backendIds) => {
      const mark = Buffer.from(ports.random.bytes(10)).toString("hex");
      await add([...new Set(backendIds)].map((backendId) => jobOfWakeNow(backendId, mark)));
    },
    close: async () => {
      await sink.close();
      deadline.close();
    },
  };
}

interface Reconnecting {
  opened(): Promise<JobSink>;
  close(): Promise<void>;
}

/**
 * One sink for all calls, made by the first of them. A start that failed is forgotten, because
 * BullMQ remembers it: a `Queue` that did not become ready never will.
 */
function reconnecting(options: AlarmClockOptions, timeoutMs: number): Reconnecting {
  const { clock, log } = options.ports;
  const complain = seldom(clock, (error) => {
    log.warn(
      "the queue is not reachable",
      { store: options.config.kind },
      withoutAttachments(error),
    );
  });
  /** A connection outlives the request that made it: what it complains of is not of its trace. */
  const outside = AsyncLocalStorage.snapshot();
  let opening: Promise<JobSink> | null = null;
  let failed: { readonly error: unknown; readonly untilMs: number } | null = null;
  let closed = false;

  const open = async (): Promise<JobSink> => {
    try {
      const sink = await openJobSink(options.config, timeoutMs, complain, options.ports.clock);
      failed = null;
      return sink;
    } catch (error) {
      complain(error);
      failed = { error, untilMs: clock.monotonicMs() + RECONNECT_AFTER_MS };
      opening = null;
      throw error;
    }
  };

  return {
    opened: () => {
      if (closed) return Promise.reject(new Error("the alarm clock was closed"));
      if (opening !== null) return opening;
      if (failed !== null && clock.monotonicMs() < failed.untilMs) {
        return Promise.reject(
          new Error("the queue is not reachable", { cause: withoutAttachments(failed.error) }),
        );
      }
      opening = outside(open);
      return opening;
    },
    close: async () => {
      if (closed) return;
      closed = true;
      const started = opening;
      if (started === null) return;
      await within(clock, timeoutMs, "closing the queue", async () => {
        const sink = await started.catch(() => null);
        await sink?.close();
      }).catch(complain);
    },
  };
}
