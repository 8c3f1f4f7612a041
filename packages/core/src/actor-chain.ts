import {
  BrokerError,
  workloadName,
  type Task,
  type TaskDescriptor,
  type TaskTokenClaims,
} from "@mayfly/spec";
import type { CoreParts } from "./core-parts.ts";

/** Names of the workloads of a task's ancestors, root first. */
export async function actorChainOf(parts: CoreParts, task: Task): Promise<readonly string[]> {
  const ancestors = await Promise.all(task.ancestors.map((id) => parts.ports.taskLedger.find(id)));
  return ancestors.map((ancestor) => {
    if (ancestor !== null) return workloadName(ancestor.workload);
    throw new BrokerError("internal", `An ancestor of ${task.id} is missing from the ledger.`);
  });
}

/** Who is meant and who acts, as a task token says it (RFC 8693 section 4.1). */
export type TokenParties = Pick<TaskTokenClaims, "subject" | "actors" | "impersonates">;

/** What of a task says who is meant, who acts, and whether its tokens tell of both. */
export interface PartiesOfTask extends Pick<Task, "workload" | "verifiedInitiator"> {
  readonly descriptor: Pick<TaskDescriptor, "impersonate">;
}

/**
 * Of a task: its initiator is the subject, or the workload of the first task of its chain; its
 * workload acts, for which those of its parents acted before. `pastActors` is whom the initiator's
 * own token told of: the end of the history.
 */
export function partiesOf(
  task: PartiesOfTask,
  actorChain: readonly string[],
  pastActors: readonly string[] = [],
): TokenParties {
  const acting = [...actorChain, workloadName(task.workload)].toReversed();
  // A child that acts as its parent is no other actor.
  const distinct = acting.filter((name, index) => name !== acting[index + 1]);
  const [root = workloadName(task.workload)] = distinct.slice(-1);
  const parties =
    task.verifiedInitiator === null
      ? { subject: root, actors: distinct.slice(0, -1) }
      : { subject: task.verifiedInitiator, actors: [...distinct, ...pastActors] };
  if (parties.actors.length === 0) return { subject: parties.subject };
  return task.descriptor.impersonate === true ? { ...parties, impersonates: true } : parties;
}

/** Whom the initiator's own token told of, as the ledger recorded it when the chain began. */
export async function pastActorsOf(
  parts: CoreParts,
  { rootId, verifiedInitiator }: Pick<Task, "rootId" | "verifiedInitiator">,
): Promise<readonly string[]> {
  return verifiedInitiator === null ? [] : parts.ports.taskLedger.initiatorActors(rootId);
}

/** Who is meant and who acts in a task that is open, however its holder is proven. */
export async function partiesNow(parts: CoreParts, task: Task): Promise<TokenParties> {
  const [chain, past] = await Promise.all([actorChainOf(parts, task), pastActorsOf(parts, task)]);
  return partiesOf(task, chain, past);
}
