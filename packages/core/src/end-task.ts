import {
  type Actor,
  type CallContext,
  type DecisionId,
  type EndedTaskState,
  type Lease,
  type Task,
  type TaskId,
  BrokerError,
} from "@mayfly/spec";
import type { CoreParts } from "./core-parts.ts";
import type { Passes } from "./pass/passes.ts";
import { waitForEnds } from "./wait-for-ends.ts";
import { wakeNow } from "./wake.ts";

export interface EndTaskRequest {
  readonly taskId: TaskId;
  readonly by: Actor;
  /** By which an administrator may; owners need none. */
  readonly decisionId?: DecisionId | null;
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
  const { taskId, by: actor, state, reason, decisionId = null } = request;
  await taskLedger.requestEnd({ taskId, state, actor, reason, decisionId });
  await failPoints.reached("end.requested");
  const applied = await taskLedger.applyEnd(taskId);
  await failPoints.reached("end.marked");
  const backendIds = [...new Set(applied.leases.map(({ backendId }) => backendId))];
  wakeNow(parts, backendIds);
  const waitSeconds = Math.min(request.waitSeconds, WAIT_SECONDS_MAX);
  if (waitSeconds > 0 && backendIds.length > 0) {
    const what = `the leases of ${taskId}`;
    const look = () => taskLedger.leasesBelow(taskId, LEASES_MAX);
    await waitForEnds(parts, passes, { what, look, backendIds, seconds: waitSeconds }, context);
  }
  const [task, leases] = await Promise.all([
    taskLedger.find(taskId),
    taskLedger.leasesBelow(taskId, LEASES_MAX),
  ]);
  if (task === null) throw new BrokerError("not_found", `There is no task ${taskId}.`);
  return { task, leases };
}
