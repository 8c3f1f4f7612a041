import {
  BrokerError,
  durationSeconds,
  plusSeconds,
  type BackendId,
  type CallContext,
  type EndRequestBySelector,
  type MarkedMembers,
  type SelectorEnd,
  type SelectorEndReport,
  type TaskId,
} from "@mayfly/spec";
import type { CoreParts } from "./core-parts.ts";
import { mapBounded } from "./map-bounded.ts";
import type { Passes } from "./pass/passes.ts";
import { waitForEnds } from "./wait-for-ends.ts";
import { wakeNow } from "./wake.ts";

export interface EndBySelectorRequest extends Omit<EndRequestBySelector, "actor" | "lookSeconds"> {
  readonly by: EndRequestBySelector["actor"];
  /** At most {@link LOOK_SECONDS_MAX}. */
  readonly lookSeconds: number;
  /** 0: do not wait for what was marked to end. At most 60 s. */
  readonly waitSeconds: number;
  /** Leases in the reply. */
  readonly limit: number;
}

/** How long new ones may be looked for, in seconds. */
export const LOOK_SECONDS_MAX = 900;
const WAIT_SECONDS_MAX = 60;
/** What one request works on it before it leaves the rest to the sweep. */
const WORK_SECONDS_MAX = 30;
/** Looking, marking and waiting together: below what a request may take. */
const REPLY_SECONDS_MAX = 80;
/** After the time for looking: what still turns up then is told, not chased. */
const CHASE_SECONDS_MAX = 600;
const BATCH = 500;
const APPLIES_AT_ONCE = 4;
const LOOK_AGAIN_MS = 250;
const WAITED_FOR_MAX = 1000;
/** The sweep takes over what nobody has worked on for so long. */
const ABANDONED_SECONDS = 10;
const ABANDONED_MAX = 20;

/**
 * Ends all that a selector names. The request is durable first, with what it found; then members
 * are marked in batches, each batch one transaction, and it looks again until a look finds nothing
 * new. A crash between any two of these is gone on with by the sweep. Asks no policy.
 */
export async function endBySelector(
  parts: CoreParts,
  passes: Passes,
  request: EndBySelectorRequest,
  context: CallContext,
): Promise<SelectorEndReport> {
  const { clock, selectorEnds, failPoints, log } = parts.ports;
  const { by: actor, decisionId, waitSeconds, limit, target, selector, reason } = request;
  const lookSeconds = durationSeconds(Math.min(request.lookSeconds, LOOK_SECONDS_MAX));
  const end = await selectorEnds.request({
    target,
    selector,
    actor,
    decisionId,
    reason,
    lookSeconds,
    expectDigest: request.expectDigest,
  });
  await failPoints.reached("selector_end.requested");
  const workSeconds = Math.max(WORK_SECONDS_MAX, Math.min(lookSeconds, WAIT_SECONDS_MAX));
  const begunMs = clock.monotonicMs();
  try {
    await workOn(parts, end, { seconds: workSeconds, lingers: true }, context);
    const left = REPLY_SECONDS_MAX - (clock.monotonicMs() - begunMs) / 1000;
    const seconds = Math.min(waitSeconds, WAIT_SECONDS_MAX, left);
    if (seconds > 0) await waitForMembers(parts, passes, end, seconds, context);
  } catch (error) {
    log.warn(
      "an end by selector was broken off: the sweep goes on with it",
      { end: end.id },
      error,
    );
  }
  return reportOf(parts, end, limit);
}

/** What is told of an end that is durable names it, whatever fails from then on. */
async function reportOf(
  parts: CoreParts,
  { id }: SelectorEnd,
  limit: number,
): Promise<SelectorEndReport> {
  try {
    const report = await parts.ports.selectorEnds.report(id, { limit, after: null });
    if (report !== null) return report;
  } catch (cause) {
    const text = `The end ${id} is requested and goes on; what became of it cannot be read now.`;
    throw new BrokerError("ledger_unavailable", text, {
      public: { end: id },
      retryAfterSeconds: 1,
      cause,
    });
  }
  throw new BrokerError("internal", `The end ${id} is gone.`);
}

/** What a crash or a slow backend left unfinished. Part of each sweep; one that fails waits. */
export async function goOnWithSelectorEnds(parts: CoreParts, context: CallContext): Promise<void> {
  const { clock, selectorEnds, settings, log } = parts.ports;
  // Of one sweep, for all of them: what is left over is the next one's.
  const untilMs = clock.monotonicMs() + (settings.sweepIntervalSeconds * 1000) / 2;
  const idle = durationSeconds(Math.min(ABANDONED_SECONDS, settings.sweepIntervalSeconds));
  for (const end of await selectorEnds.abandoned(idle, ABANDONED_MAX)) {
    if (context.signal.aborted) return;
    try {
      const seconds = (untilMs - clock.monotonicMs()) / 1000;
      await workOn(parts, end, { seconds, lingers: false }, context);
    } catch (error) {
      log.warn(
        "an end by selector was not gone on with: the next sweep does",
        { end: end.id },
        error,
      );
    }
  }
}

interface Work {
  readonly seconds: number;
  /** Whether to stay until the time for looking is over. */
  readonly lingers: boolean;
}

/** Marks and looks again until nothing new is found, or for so many seconds. */
async function workOn(
  parts: CoreParts,
  end: SelectorEnd,
  { seconds, lingers }: Work,
  context: CallContext,
): Promise<void> {
  const { clock, selectorEnds, sweepLedger } = parts.ports;
  const until = clock.monotonicMs() + seconds * 1000;
  const hasTime = (): boolean => clock.monotonicMs() < until && !context.signal.aborted;
  while (hasTime()) {
    if (!(await markAll(parts, end, hasTime, context))) return;
    const found = await lookAgain(parts, end);
    if (found === null && !lingers) return;
    if (found === null) continue;
    const now = await sweepLedger.now();
    if (found === 0 && now >= end.lookUntil) return selectorEnds.finish(end.id, "none_left");
    if (found > 0 && now >= plusSeconds(end.lookUntil, CHASE_SECONDS_MAX)) {
      if (!(await markAll(parts, end, hasTime, context))) return;
      return selectorEnds.finish(end.id, "still_appearing");
    }
    if (found === 0 && !lingers) return;
    if (found === 0) await clock.sleep(LOOK_AGAIN_MS, context.signal);
  }
}

/** Null when a reservation stays open that may belong to it: what is there is not known yet. */
async function lookAgain(parts: CoreParts, end: SelectorEnd): Promise<number | null> {
  const { selectorEnds, log } = parts.ports;
  try {
    return await selectorEnds.look(end.id);
  } catch (error) {
    if (!BrokerError.is(error) || error.code !== "busy") throw error;
    log.warn("a reservation stays open: the end looks again", { end: end.id }, error);
    return null;
  }
}

/** False when time was over, or a lease stayed locked: the sweep comes back to it. */
async function markAll(
  parts: CoreParts,
  end: SelectorEnd,
  hasTime: () => boolean,
  context: CallContext,
): Promise<boolean> {
  const { failPoints, clock } = parts.ports;
  let locked: "skip" | "wait" = "skip";
  do {
    const batch = await markBatch(parts, end, locked);
    if (batch === null) return false;
    await failPoints.reached("selector_end.marked");
    await applyEnds(parts, batch.taskIds);
    wakeNow(parts, batch.backendIds);
    if (batch.pending === 0) return true;
    // All that is left is held by somebody at this moment.
    if (batch.marked === 0) await clock.sleep(10, context.signal);
    locked = batch.marked === 0 ? "wait" : "skip";
  } while (hasTime());
  return false;
}

async function markBatch(
  parts: CoreParts,
  end: SelectorEnd,
  locked: "skip" | "wait",
): Promise<MarkedMembers | null> {
  const { selectorEnds, log } = parts.ports;
  try {
    return await selectorEnds.mark(end.id, locked === "wait" ? 1 : BATCH, locked);
  } catch (error) {
    if (!BrokerError.is(error) || error.code !== "busy") throw error;
    log.warn("a lease stays locked: the sweep goes on with the end", { end: end.id }, error);
    return null;
  }
}

/** Each task's second commit. What fails here is requested, so the sweep applies it. */
async function applyEnds(parts: CoreParts, taskIds: readonly TaskId[]): Promise<void> {
  const { taskLedger, log } = parts.ports;
  const backends = await mapBounded(
    taskIds,
    APPLIES_AT_ONCE,
    async (id): Promise<readonly BackendId[]> => {
      try {
        return (await taskLedger.applyEnd(id)).leases.map(({ backendId }) => backendId);
      } catch (error) {
        log.warn("the end of a task was not applied: the sweep does it", { task: id }, error);
        return [];
      }
    },
  );
  wakeNow(parts, backends.flat());
}

async function waitForMembers(
  parts: CoreParts,
  passes: Passes,
  end: SelectorEnd,
  seconds: number,
  context: CallContext,
): Promise<void> {
  const look = () => parts.ports.selectorEnds.liveMembers(end.id, WAITED_FOR_MAX);
  const backendIds = [...new Set((await look()).map(({ backendId }) => backendId))];
  if (backendIds.length === 0) return;
  await waitForEnds(parts, passes, { what: end.id, look, backendIds, seconds }, context);
}
