import { BrokerError, type AlarmListener } from "@mayfly/spec";
import { coalescePasses } from "./coalesced-passes.ts";
import { openJobSource, type JobSource, type ReceivedJob } from "./job-source.ts";
import { receiveJobs } from "./receive-jobs.ts";
import { checkQueueConfig, type QueueConfig, type QueuePorts } from "./queue-config.ts";
import { seldom } from "./seldom.ts";
import { withoutAttachments } from "./without-attachments.ts";
import { within } from "./within.ts";

export interface AlarmListenerOptions {
  readonly config: QueueConfig;
  readonly ports: QueuePorts;
  /** How many backends may have a pass at once. Default 50. */
  readonly concurrency?: number;
  /** How long `listen` waits for the store at most, and each of its calls. Default 5 s. */
  readonly timeoutMs?: number;
  /** How long `close` waits for passes that run. Default 10 s. */
  readonly closeTimeoutMs?: number;
  /** See {@link coalescePasses}. Default 5 min. */
  readonly passTimeoutMs?: number;
}

const DEFAULTS = {
  concurrency: 50,
  timeoutMs: 5_000,
  closeTimeoutMs: 10_000,
  passTimeoutMs: 300_000,
} as const;
const REOPEN_AFTER_MS = 1_000;
/** Of a store that is asked whether it is there. */
const ANSWER_MS_MAX = 2_000;

type Settled = Required<AlarmListenerOptions>;

/**
 * The worker's end of the queue. `listen` answers when it hears, or after `timeoutMs` without: then
 * it goes on trying, and the sweeps do all the work meanwhile. It outlives restarts of the store.
 */
export function createAlarmListener(given: AlarmListenerOptions): AlarmListener {
  const options: Settled = { ...DEFAULTS, ...given };
  checkQueueConfig(options.config);
  const { clock, log } = options.ports;
  const stop = new AbortController();
  let current: JobSource | null = null;
  let supervising: Promise<void> | null = null;

  const supervise = async (onJob: (job: ReceivedJob) => Promise<void>, hears: () => void) => {
    const complain = seldom(clock, (error) => {
      log.warn("the queue is not heard; the sweep ends what is due", {}, withoutAttachments(error));
    });
    while (!stop.signal.aborted) {
      try {
        const source = await openJobSource({ ...options, onJob, onError: complain });
        if (stop.signal.aborted) {
          await putAway(source, options);
          break;
        }
        current = source;
        hears();
        await source.run();
      } catch (error) {
        complain(error);
      }
      if (!stop.signal.aborted) await putAway(current, options);
      current = null;
      // Aborted by `close`, which is what ends the loop.
      await clock.sleep(REOPEN_AFTER_MS, stop.signal).catch(() => undefined);
    }
  };

  return {
    listen: async (handler, due) => {
      if (supervising !== null || stop.signal.aborted) {
        throw new BrokerError("internal", "a listener listens once");
      }
      const passes = coalescePasses(handler, { ...options.ports, ...options });
      const onJob = receiveJobs(passes, options.ports, due);
      const heard = Promise.withResolvers<void>();
      supervising = supervise(onJob, heard.resolve);
      await within(clock, options.timeoutMs, "reaching the queue", () => heard.promise).catch(
        (error: unknown) => log.warn("the worker starts without the queue", {}, error),
      );
    },
    hears: async () => {
      const source = current;
      if (source === null || stop.signal.aborted) return false;
      return within(clock, ANSWER_MS_MAX, "the queue", () => source.answer()).then(
        () => true,
        () => false,
      );
    },
    close: async () => {
      if (stop.signal.aborted) return;
      stop.abort(new Error("the listener was closed"));
      await putAway(current, options);
      if (supervising === null) return;
      await within(clock, options.closeTimeoutMs, "closing the listener", () =>
        Promise.resolve(supervising),
      ).catch((error: unknown) => log.warn("the listener did not end in time", {}, error));
    },
  };
}

async function putAway(source: JobSource | null, options: Settled): Promise<void> {
  if (source === null) return;
  const { clock, log } = options.ports;
  try {
    await within(clock, options.closeTimeoutMs, "closing the worker", () => source.close());
  } catch (error) {
    log.warn("passes were still running when the queue was closed", {}, error);
    await within(clock, options.timeoutMs, "leaving the queue", () => source.disconnect()).catch(
      () => undefined,
    );
  }
}
