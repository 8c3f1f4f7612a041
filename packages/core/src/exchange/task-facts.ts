import {
  earliest,
  plusSeconds,
  type CredentialHolder,
  type CredentialRequest,
  type InstantMs,
  type Task,
  type TaskDescriptor,
  type TaskId,
  type TrustRootName,
  type Workload,
} from "@mayfly/spec";
import { partiesOf, type PartiesOfTask } from "../actor-chain.ts";
import type { Ask } from "./ask.ts";

/** What planning and deciding need to know of the task, whether it is open yet or not. */
export interface TaskFacts {
  /** Null while the task is not open. */
  readonly taskId: TaskId | null;
  readonly workload: Workload;
  readonly verifiedInitiator: string | null;
  readonly initiatorTrustRoot: TrustRootName | null;
  readonly descriptor: TaskDescriptor;
  readonly confirmation: string | null;
  readonly depth: number;
  readonly deadlineAt: InstantMs;
  readonly actorChain: readonly string[];
  readonly holder: CredentialHolder;
}

/** One credential that is asked for. */
export interface Wanted {
  readonly index: number;
  readonly request: CredentialRequest;
  /** Declared ones, one of which it must lie within; null where the request itself declares. */
  readonly within: { readonly declared: readonly CredentialRequest[]; readonly by: string } | null;
  /** False: declared for later; judged now all the same, so that a task opens as it says. */
  readonly mint: boolean;
}

export function factsOf(ask: Ask, now: InstantMs): TaskFacts {
  if (ask.kind === "draw") return factsOfTask(ask.task, ask.actorChain, ask.pastActors);
  const { descriptor, parent } = ask;
  const ownDeadlineAt = plusSeconds(now, descriptor.deadlineSeconds);
  return {
    taskId: null,
    workload: ask.identity.workload,
    verifiedInitiator: ask.verifiedInitiator,
    initiatorTrustRoot: ask.initiatorTrustRoot,
    descriptor,
    confirmation: ask.identity.confirmation,
    depth: parent === null ? 0 : parent.depth + 1,
    deadlineAt: parent === null ? ownDeadlineAt : earliest(ownDeadlineAt, parent.deadlineAt),
    actorChain: ask.actorChain,
    holder: holderOf(
      {
        workload: ask.identity.workload,
        verifiedInitiator: ask.verifiedInitiator,
        confirmation: ask.identity.confirmation,
        descriptor,
      },
      ask.actorChain,
      ask.pastActors,
    ),
  };
}

/** As the task's own token has it: one subject, one chain of actors, one key. */
function holderOf(
  task: PartiesOfTask & Pick<Task, "confirmation">,
  actorChain: readonly string[],
  pastActors: readonly string[],
): CredentialHolder {
  const parties = partiesOf(task, actorChain, pastActors);
  return { ...parties, actors: parties.actors ?? [], confirmation: task.confirmation };
}

export const factsOfTask = (
  task: Task,
  actorChain: readonly string[],
  pastActors: readonly string[],
): TaskFacts => ({
  taskId: task.id,
  workload: task.workload,
  verifiedInitiator: task.verifiedInitiator,
  initiatorTrustRoot: task.initiatorTrustRoot,
  descriptor: task.descriptor,
  confirmation: task.confirmation,
  depth: task.depth,
  deadlineAt: task.deadlineAt,
  actorChain,
  holder: holderOf(task, actorChain, pastActors),
});

export function wantedOf(ask: Ask): readonly Wanted[] {
  if (ask.kind === "draw") {
    const within = { declared: ask.task.descriptor.credentials, by: "the task" };
    return ask.credentials.map((request, index) => ({ index, request, within, mint: true }));
  }
  const within =
    ask.parent === null
      ? null
      : { declared: ask.parent.descriptor.credentials, by: "the parent task" };
  return ask.descriptor.credentials.map((request, index) => ({
    index,
    request,
    within,
    mint: request.issue === "now",
  }));
}
