import {
  BrokerError,
  workloadName,
  type CredentialRequest,
  type Task,
  type TaskDescriptor,
  type TrustRootName,
  type VerifiedIdentity,
} from "@mayfly/spec";
import { actorChainOf, pastActorsOf } from "../actor-chain.ts";
import { requireActive, requireRecentProof } from "../authenticate-task.ts";
import type { CoreParts } from "../core-parts.ts";
import { checkNarrows } from "../descriptor/check-narrows.ts";
import { detailsPath, type TaskDetails } from "../descriptor/task-details.ts";
import { isSameWorkload } from "../same-workload.ts";
import { findOwnTask } from "../verify-identity.ts";
import type { Caller } from "./authenticate.ts";
import { requireTokenFits } from "./require-token-fits.ts";

/** What the caller asks for, with every fact of it known. */
export type Ask =
  | {
      readonly kind: "open";
      readonly identity: VerifiedIdentity;
      /** A child without a token of its own: the identity is its parent's, and no fresh proof. */
      readonly isInherited: boolean;
      readonly verifiedInitiator: string | null;
      readonly initiatorTrustRoot: TrustRootName | null;
      readonly descriptor: TaskDescriptor;
      readonly parent: Task | null;
      /** Workloads of the ancestors, root first. */
      readonly actorChain: readonly string[];
      /** Who acted for the initiator before, by its token: history, and no fact for policy. */
      readonly pastActors: readonly string[];
    }
  | {
      readonly kind: "draw";
      readonly task: Task;
      readonly identity: VerifiedIdentity | null;
      readonly credentials: readonly CredentialRequest[];
      readonly actorChain: readonly string[];
      readonly pastActors: readonly string[];
    };

/** Joins who calls with what they sent. Throws `invalid_task`, `not_found`, `invalid_identity`. */
export async function resolveAsk(
  parts: CoreParts,
  caller: Caller,
  details: TaskDetails,
): Promise<Ask> {
  if (details.kind === "continue") return draw(parts, caller, details);
  const { descriptor } = details;
  const ask =
    descriptor.parent === null
      ? openRoot(caller, descriptor)
      : await openChild(parts, caller, descriptor, descriptor.parent);
  requireTokenFits(parts, ask);
  return ask;
}

type Opening = Extract<Ask, { kind: "open" }>;

function openRoot(caller: Caller, descriptor: TaskDescriptor): Opening {
  if (caller.kind === "task_token") {
    throw notAcceptable(
      "parent",
      "with a task token, name its task in `task` to draw on it, or in `parent` to open a child",
    );
  }
  const { identity, initiator } = caller;
  if (descriptor.impersonate === true) requireSoleSubject(initiator);
  const verifiedInitiator = initiator === null ? null : workloadName(initiator.workload);
  return {
    kind: "open",
    identity,
    isInherited: false,
    verifiedInitiator,
    initiatorTrustRoot: initiator?.workload.trustRoot ?? null,
    descriptor,
    parent: null,
    actorChain: [],
    pastActors: initiator?.delegation?.actors ?? [],
  };
}

/**
 * Whom a token without `act` would name: one subject that its own token proved, and nobody else
 * whom that token tells of, since the result would hide who acted for it before.
 */
function requireSoleSubject(initiator: VerifiedIdentity | null): void {
  if (initiator === null) {
    throw notAcceptable(
      "impersonate",
      "there is nobody to appear as: send the subject's own token as the subject_token, and yours " +
        "as the actor_token or as a client",
    );
  }
  if ((initiator.delegation?.actors.length ?? 0) === 0) return;
  throw notAcceptable(
    "impersonate",
    "the subject_token says who acts for its subject (act), and a token without act would hide it",
  );
}

async function openChild(
  parts: CoreParts,
  caller: Caller,
  descriptor: TaskDescriptor,
  parentId: Task["id"],
): Promise<Opening> {
  if (caller.kind !== "task_token" || caller.task.id !== parentId) {
    throw notAcceptable("parent", "a child is opened with its parent's own task token");
  }
  if (descriptor.impersonate === true) {
    throw notAcceptable(
      "impersonate",
      "a child task's tokens say who acts, and who acted above it, also below a task that impersonates",
    );
  }
  const parent = caller.task;
  requireRecentProof(parts, parent);
  checkNarrows(descriptor, parent, parts.ports.settings.taskDepthMax);
  const chain = await actorChainOf(parts, parent);
  return {
    kind: "open",
    identity: caller.actor ?? inheritedIdentity(caller),
    isInherited: caller.actor === null,
    verifiedInitiator: parent.verifiedInitiator,
    initiatorTrustRoot: parent.initiatorTrustRoot,
    descriptor,
    parent,
    actorChain: [...chain, workloadName(parent.workload)],
    pastActors: await pastActorsOf(parts, parent),
  };
}

/** Without a token of its own a child acts as its parent, whose proof grows no younger by it. */
function inheritedIdentity(caller: Extract<Caller, { kind: "task_token" }>): VerifiedIdentity {
  const { task, claims, tokenSha256 } = caller;
  return {
    workload: task.workload,
    expiresAt: claims.expiresAt,
    identityMaxAgeSeconds: task.identityMaxAgeSeconds,
    provenAt: task.identityProvenAt,
    tokenSha256,
    oneTime: null,
    confirmation: task.confirmation,
    mayInitiate: false,
    mayAdminister: false,
    mustProvePossession: false,
  };
}

async function draw(
  parts: CoreParts,
  caller: Caller,
  details: Extract<TaskDetails, { kind: "continue" }>,
): Promise<Ask> {
  if (caller.kind === "task_token") {
    if (caller.actor !== null) {
      throw new BrokerError("invalid_request", "An actor token is for opening a task.", {
        where: "actor_token",
      });
    }
    if (caller.task.id !== details.task) {
      throw notAcceptable("task", "the task token is another task's");
    }
    requireRecentProof(parts, caller.task);
    return drawOn(parts, caller.task, null, details.credentials);
  }
  const task = await findOwnTask(parts, details.task, caller.identity);
  requireInitiator(task, caller);
  requireActive(parts, task);
  return drawOn(parts, task, caller.identity, details.credentials);
}

/** A task keeps its history too, whatever the token of its initiator tells by now. */
async function drawOn(
  parts: CoreParts,
  task: Task,
  identity: VerifiedIdentity | null,
  credentials: readonly CredentialRequest[],
): Promise<Ask> {
  const [actorChain, pastActors] = await Promise.all([
    actorChainOf(parts, task),
    pastActorsOf(parts, task),
  ]);
  return { kind: "draw", task, identity, credentials, actorChain, pastActors };
}

/** A task keeps its initiator: the one that a later exchange shows must be the same. */
function requireInitiator(task: Task, caller: Extract<Caller, { kind: "identity" }>): void {
  if (caller.initiator === null) return;
  if (workloadName(caller.initiator.workload) === task.verifiedInitiator) return;
  throw new BrokerError("invalid_identity", `${task.id} was opened on behalf of somebody else.`, {
    where: "subject_token",
  });
}

/** Repeating an opening finds the task that it opened: then it draws what that one declared. */
export async function repeatOpening(
  parts: CoreParts,
  ask: Opening,
  task: Task | null,
): Promise<Ask> {
  if (task === null || !isSameWorkload(task.workload, ask.identity.workload)) {
    throw new BrokerError("idempotency_mismatch", "This Idempotency-Key belongs to another task.");
  }
  const credentials = task.descriptor.credentials.filter(({ issue }) => issue === "now");
  return drawOn(parts, task, ask.isInherited ? null : ask.identity, credentials);
}

function notAcceptable(member: string, problem: string): BrokerError {
  const where = detailsPath(member);
  return new BrokerError("invalid_task", `${where}: ${problem}`, { where });
}
