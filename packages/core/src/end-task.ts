import {
  plusSeconds,
  type Actor,
  type BackendId,
  type CallContext,
  type EndedTaskState,
  type Lease,
  type Task,
  type TaskId,
  BrokerError,
} from "@mayfly/spec";
import type { CoreParts } from "./core-parts.ts";
import type { Passes } from "./pass/passes.ts";
import { wakeNow } from "./wake.ts";
import { withDeadline } from "./with-deadline.ts";

export interface EndTaskRequest {
  readonly taskId: TaskId;
  readonly by: Actor;
  readonly state: Exclude<EndedTaskState, "expired">;
  readonly reason: string;
  /** 0: do not wait. At most 60 s. */
  readonly waitSeconds: number;
}
export interface EndTaskReply {
  readonly task: Task;
  /** Of the task and all below it, as the ledger has them now: state and exposure are true. */
  readonly leases: readonly Lease[];
}

const WAIT_SECONDS_MAX = 60;
const LEASES_MAX = 1000;
const LOOK_AGAIN_MS_MAX = 250;

/**
 * Ends a task and everything below it. Asks no policy, no identity provider and no queue. Two
 * commits: after the first nothing new comes to be below it, after the second every lease is due.
 * With `waitSeconds` it runs the passes of its own leases here, worker or no worker.
 */
export async function endTask(
  parts: CoreParts,
  passes: Passes,
  request: EndTaskRequest,
  context: CallContext,
): Promise<EndTaskReply> {
  const { taskLedger, failPoints } = parts.ports;
  const { taskId, by: actor, state, reason } = request;
  await taskLedger.requestEnd({ taskId, state, actor, reason });
  await failPoints.reached("end.requested");
  const applied = await taskLedger.applyEnd(taskId);
  await failPoints.reached("end.marked");
  const backendIds = [...new Set(applied.leases.map(({ backendId }) => backendId))];
  wakeNow(parts, backendIds);
  const waitSeconds = Math.min(request.waitSeconds, WAIT_SECONDS_MAX);
  if (waitSeconds > 0 && backendIds.length > 0) {
    await waitForEnds(parts, passes, taskId, backendIds, waitSeconds, context);
  }
  const [task, leases] = await Promise.all([
    taskLedger.find(taskId),
    taskLedger.leasesBelow(taskId, LEASES_MAX),
  ]);
  if (task === null) throw new BrokerError("not_found", `There is no task ${taskId}.`);
  return { task, leases };
}

/** Until every lease below has ended, or the time is over, or the caller is gone. */
async function waitForEnds(
  parts: CoreParts,
  passes: Passes,
  taskId: TaskId,
  backendIds: readonly BackendId[],
  seconds: number,
  context: CallContext,
): Promise<void> {
  const { clock, log } = parts.ports;
  const what = `wait for the leases of ${taskId}`;
  try {
    await withDeadline({ clock, seconds, signal: context.signal, what }, (signal) =>
      passUntilEnded(parts, passes, taskId, backendIds, seconds, { ...context, signal }),
    );
  } catch (error) {
    log.info("an end was answered before all its leases had ended", {
      task: taskId,
      reason: String(error),
    });
  }
}

async function passUntilEnded(
  parts: CoreParts,
  passes: Passes,
  taskId: TaskId,
  backendIds: readonly BackendId[],
  seconds: number,
  context: CallContext,
): Promise<void> {
  const { clock, taskLedger, log } = parts.ports;
  const until = plusSeconds(clock.now(), seconds);
  // Who stops waiting does not break off a revocation.
  const unhurried = new AbortController().signal;
  const pass = async (backendId: BackendId): Promise<void> => {
    try {
      await passes.run(backendId, { traceId: context.traceId, signal: unhurried });
    } catch (error) {
      log.warn("a pass for an ended task failed: the worker's takes over", { backendId }, error);
    }
  };
  // One backend that hangs is not waited for before the others' leases are looked at.
  let toPass = new Set(backendIds);
  for (let waitMs = 10; !context.signal.aborted; waitMs = Math.min(LOOK_AGAIN_MS_MAX, waitMs * 2)) {
    const passing = Promise.all([...toPass].map(pass));
    await Promise.race([passing, clock.sleep(LOOK_AGAIN_MS_MAX, context.signal)]);
    const live = (await taskLedger.leasesBelow(taskId, LEASES_MAX)).filter(
      (lease) => lease.state !== "ended",
    );
    if (live.every((lease) => isDueAfter(lease, until))) return;
    const now = clock.now();
    toPass = new Set(
      live.filter((lease) => !isDueAfter(lease, now)).map(({ backendId }) => backendId),
    );
    await clock.sleep(waitMs, context.signal);
  }
}

/** Nothing will be done about it until then: waiting longer here is of no use. */
const isDueAfter = (lease: Lease, at: number): boolean =>
  lease.state !== "reserved" && lease.nextAttemptAt !== null && lease.nextAttemptAt > at;
