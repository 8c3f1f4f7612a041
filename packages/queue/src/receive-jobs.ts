import type { BackendId } from "@mayfly/spec";
import { parsePayload } from "./alarm-job.ts";
import type { CoalescedPasses } from "./coalesced-passes.ts";
import type { ReceivedJob } from "./job-source.ts";
import type { QueuePorts } from "./queue-config.ts";
import { seldom } from "./seldom.ts";
import { within } from "./within.ts";

/** Lifting the mark of a wake-up is a courtesy; it lifts itself after 5 s. */
const LIFT_TIMEOUT_MS = 1_000;
/** So many alarms within so long are a crowd: others may stand behind it. */
const CROWD = 20;
const CROWD_MS = 250;
/** Of a crowd: after that its alarms are worked off as fast as they come, so that none pile up. */
const HOLD_MS_MAX = 30_000;
/** So long after the last crowd, the next one is another. */
const CALM_MS = 5_000;

/**
 * What becomes of each job. What the queue delivers is parsed as strictly as any other input.
 *
 * Alarms ring in the order of their times, and a storm of one backend is tens of thousands of them.
 * While they come in a crowd, the ledger is asked whose ends are due, and all of these are woken:
 * so none waits until the queue has worked off what is another's.
 */
export function receiveJobs(
  passes: CoalescedPasses,
  { clock, log }: QueuePorts,
  due?: () => Promise<readonly BackendId[]>,
): (job: ReceivedJob) => Promise<void> {
  const drop = seldom(clock, (error) => log.error("a job that is not ours was dropped", {}, error));
  const complain = seldom(clock, (error) => {
    log.warn("the ledger was not asked whose ends are due; the next sweep does it", {}, error);
  });
  const wakeDue = async (): Promise<void> => {
    try {
      for (const backendId of (await due?.()) ?? []) passes.wake(backendId).catch(complain);
    } catch (error) {
      complain(error);
    }
  };
  const came = watchCrowd(() => clock.monotonicMs(), wakeDue);
  return async (job) => {
    const crowdMs = came();
    // From here on a new wake-up must be a new job: this one's pass may already be past its row.
    // Also before parsing, so that a foreign job under our mark does not swallow the real ones.
    await within(clock, LIFT_TIMEOUT_MS, "lifting a mark", () =>
      job.removeDeduplicationKey(),
    ).catch(() => log.debug("a wake-up's mark was not lifted"));
    let backendId: BackendId;
    try {
      ({ backendId } = parsePayload(job.data));
    } catch (error) {
      drop(error);
      return;
    }
    const woken = await passes.wake(backendId);
    // Its pass goes on, and the ledger says who else is due: to work off a storm's other alarms
    // meanwhile would take from its ends, and may as well come after them.
    const mayWait = due !== undefined && crowdMs !== null && crowdMs < HOLD_MS_MAX;
    if (woken === "joined" && mayWait) await clock.sleep(CROWD_MS);
  };
}

/**
 * Told of each job, it says for how long there has been a crowd, or null where there is none; calls
 * `crowded` once in each {@link CROWD_MS} in which there is one.
 */
function watchCrowd(nowMs: () => number, crowded: () => Promise<void>): () => number | null {
  let spanMs = Number.NEGATIVE_INFINITY;
  let count = 0;
  let sinceMs: number | null = null;
  let crowdedMs = Number.NEGATIVE_INFINITY;
  let asking = false;
  return () => {
    const now = nowMs();
    if (now - spanMs >= CROWD_MS) {
      spanMs = now;
      count = 0;
    }
    count++;
    if (count === CROWD && !asking) {
      asking = true;
      const done = (): void => {
        asking = false;
      };
      crowded().then(done, done);
    }
    if (count >= CROWD) {
      sinceMs ??= now;
      crowdedMs = now;
    } else if (now - crowdedMs >= CALM_MS) sinceMs = null;
    return sinceMs === null ? null : now - sinceMs;
  };
}
