import {
  unreachable,
  type Actor,
  type BackendId,
  type CallContext,
  type DueTask,
} from "@mayfly/spec";
import type { CoreParts } from "./core-parts.ts";
import { goOnWithSelectorEnds } from "./end-by-selector.ts";
import { mapBounded } from "./map-bounded.ts";
import type { Passes } from "./pass/passes.ts";
import type { PassResult } from "./pass/run-pass.ts";
import { withDeadline } from "./with-deadline.ts";

export interface SweepResult {
  readonly tasksEnded: number;
  /** Live leases and children that were found under tasks which are not active. */
  readonly strays: number;
  readonly passes: readonly PassResult[];
  /** Backends whose pass goes on after this sweep returned. */
  readonly stillRunning: readonly BackendId[];
}

const BATCH = 200;
const ROUNDS_MAX = 100;
const ENDS_AT_ONCE = 4;
const WAIT_OF_INTERVAL = 0.5;
const SWEEP: Actor = { kind: "system", name: "sweep" };

/**
 * Makes every end certain, whatever the queue lost: ends due tasks, marks strays, starts a pass for
 * each backend that has due rows. It is on record before it waits for a pass, and waits half an
 * interval at most: a dead backend delays neither the others nor the next sweep, and makes no
 * sweep count as late. Throws when the ledger's rows could not be swept.
 */
export async function sweep(
  parts: CoreParts,
  passes: Passes,
  context: CallContext,
): Promise<SweepResult> {
  const { sweepLedger } = parts.ports;
  await goOnWithSelectorEnds(parts, context);
  const tasksEnded = await endDueTasks(parts, context);
  const strays = await endStrays(parts, context);
  const due = await sweepLedger.dueBackends();
  // Sent before the passes' own calls, none of which it may wait for.
  const recorded = sweepLedger.recordSweep(null);
  const running = startPasses(parts, passes, due, context);
  await recorded;
  const results = await awaitPasses(parts, running, context);
  const finished = new Set(results.map(({ backendId }) => backendId));
  const stillRunning = due.filter((id) => !finished.has(id) && !running.failed.has(id));
  return { tasksEnded, strays, passes: results, stillRunning };
}

async function endDueTasks(parts: CoreParts, context: CallContext): Promise<number> {
  let ended = 0;
  for (let round = 0; round < ROUNDS_MAX && !context.signal.aborted; round++) {
    const due = await parts.ports.sweepLedger.dueTasks(BATCH);
    const results = await mapBounded(due, ENDS_AT_ONCE, (task) => endDue(parts, task));
    const done = results.filter((isEnded) => isEnded).length;
    ended += done;
    if (due.length < BATCH || done === 0) break;
  }
  return ended;
}

async function endDue(parts: CoreParts, task: DueTask): Promise<boolean> {
  const { taskLedger, log } = parts.ports;
  try {
    if (task.due !== "end_requested") {
      const reason = reasonOf(task.due);
      await taskLedger.requestEnd({ taskId: task.id, state: "expired", actor: SWEEP, reason });
    }
    await taskLedger.applyEnd(task.id);
    return true;
  } catch (error) {
    log.warn("a due task was not ended: the next sweep tries again", { task: task.id }, error);
    return false;
  }
}

function reasonOf(due: "deadline" | "idle"): string {
  switch (due) {
    case "deadline":
      return "its deadline passed";
    case "idle":
      return "no heartbeat within its idle timeout";
    default:
      return unreachable(due);
  }
}

async function endStrays(parts: CoreParts, context: CallContext): Promise<number> {
  let total = 0;
  for (let round = 0; round < ROUNDS_MAX && !context.signal.aborted; round++) {
    const found = await parts.ports.sweepLedger.endStrays(BATCH);
    total += found;
    if (found < BATCH) break;
  }
  if (total > 0) parts.ports.log.warn("strays were found under ended tasks", { strays: total });
  return total;
}

interface Running {
  readonly all: readonly Promise<void>[];
  readonly results: PassResult[];
  readonly failed: Set<BackendId>;
}

function startPasses(
  parts: CoreParts,
  passes: Passes,
  due: readonly BackendId[],
  context: CallContext,
): Running {
  const results: PassResult[] = [];
  const failed = new Set<BackendId>();
  const all = due.map(async (backendId) => {
    try {
      results.push(await passes.run(backendId, context));
    } catch (error) {
      failed.add(backendId);
      parts.ports.log.error("a pass failed: the next sweep starts another", { backendId }, error);
    }
  });
  return { all, results, failed };
}

async function awaitPasses(
  parts: CoreParts,
  running: Running,
  context: CallContext,
): Promise<readonly PassResult[]> {
  const { clock, settings, log } = parts.ports;
  const seconds = settings.sweepIntervalSeconds * WAIT_OF_INTERVAL;
  const options = { clock, seconds, signal: context.signal, what: "passes of a sweep" };
  try {
    await withDeadline(options, () => Promise.all(running.all));
  } catch (error) {
    log.info("a sweep returned before its passes", { reason: String(error) });
  }
  return [...running.results];
}
