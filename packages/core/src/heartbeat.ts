import {
  BrokerError,
  type CallContext,
  type PresentedIdentity,
  type Secret,
  type Task,
  type TaskId,
  type VerifiedIdentity,
} from "@mayfly/spec";
import { partiesNow } from "./actor-chain.ts";
import {
  authenticateTask,
  requireActive,
  requireRecentProof,
  taskEnded,
} from "./authenticate-task.ts";
import type { CoreParts } from "./core-parts.ts";
import { requireStillPermitted } from "./impersonation.ts";
import { signTaskToken, type SignedTaskToken } from "./task-token.ts";
import { findOwnTask, verifyIdentity } from "./verify-identity.ts";

/** The task token alone, or the same workload proven afresh. */
export type HeartbeatProof =
  | { readonly token: Secret }
  | { readonly taskId: TaskId; readonly presented: PresentedIdentity };

export interface HeartbeatReply extends SignedTaskToken {
  readonly task: Task;
}

/**
 * Says that the task is alive, and gives a new task token. Throws `task_ended`; `invalid_identity`
 * when a task token comes alone and identity was proven too long ago.
 */
export async function heartbeat(
  parts: CoreParts,
  proof: HeartbeatProof,
  context: CallContext,
): Promise<HeartbeatReply> {
  const { task, identity } = await provenBy(parts, proof, context);
  requireActive(parts, task);
  if (identity === null) requireRecentProof(parts, task);
  await requireStillPermitted(parts, task);
  const recorded = await recordOneTime(parts, task, identity);
  const beat = await parts.ports.taskLedger.heartbeat(task.id, recorded ? null : identity);
  const now = await parts.ports.taskLedger.find(task.id);
  if (beat === "ended" || now === null) throw taskEnded(now ?? task, parts.ports.clock.now());
  return { task: now, ...(await signTaskToken(parts, now, await partiesNow(parts, now))) };
}

async function provenBy(
  parts: CoreParts,
  proof: HeartbeatProof,
  context: CallContext,
): Promise<{
  readonly task: Task;
  readonly identity: VerifiedIdentity | null;
}> {
  if ("token" in proof) {
    const { task } = await authenticateTask(parts, proof.token, context);
    return { task, identity: null };
  }
  // A trust root that was removed vouches for nobody: no reservation will notice it here.
  await parts.catalog.fresh();
  const identity = await verifyIdentity(parts, proof.presented, context);
  return { task: await findOwnTask(parts, proof.taskId, identity), identity };
}

/** A token that counts once is recorded as used, in the transaction that records the proof. */
async function recordOneTime(
  parts: CoreParts,
  task: Task,
  identity: VerifiedIdentity | null,
): Promise<boolean> {
  if (identity === null || identity.oneTime === null) return false;
  const view = await parts.catalog.current();
  const result = await parts.ports.issueLedger.reserve({
    task: { kind: "existing", taskId: task.id, identity },
    decisions: [],
    leases: [],
    idempotency: null,
    oneTime: identity.oneTime,
    confirmation: task.confirmation,
    catalogVersion: view.version,
    limits: parts.ports.settings.limits,
  });
  if (result.kind === "reserved") return true;
  throw new BrokerError("busy", "The catalog is changing.", { retryAfterSeconds: 1 });
}
