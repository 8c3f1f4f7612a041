import {
  backendOfRole,
  keyBindingOf,
  workloadName,
  type AccessRequest,
  type Decision,
  type DecisionId,
  type InstantMs,
  type IssuePlan,
  type JsonObject,
  type RoleName,
  type Verdict,
} from "@mayfly/spec";
import type { CatalogView } from "../catalog/catalog-view.ts";
import type { Target } from "./plan.ts";
import type { TaskFacts } from "./task-facts.ts";

export interface DecideInput {
  readonly id: DecisionId;
  readonly action: AccessRequest["action"];
  readonly facts: TaskFacts;
  readonly target: Target;
  readonly plan: IssuePlan;
  readonly ttlSeconds: number;
  readonly now: InstantMs;
}

/** Step 5, pure: today's policies on the plan. Only facts get here, nothing that was claimed. */
export function decide(view: CatalogView, input: DecideInput): Decision {
  const request = accessRequestOf(input);
  return {
    id: input.id,
    taskId: input.facts.taskId,
    request: jsonOf(request),
    verdict: view.decide(request),
    policyDigest: view.policyDigest,
    decidedAt: input.now,
  };
}

function accessRequestOf(input: DecideInput): AccessRequest {
  const { facts, target, plan } = input;
  const { role, registered } = target;
  return {
    action: input.action,
    workload: facts.workload,
    actorChain: facts.actorChain,
    task: {
      deadlineSeconds: facts.descriptor.deadlineSeconds,
      idleTimeoutSeconds: facts.descriptor.idleTimeoutSeconds,
      depth: facts.depth,
      targets: facts.descriptor.targets,
      verifiedInitiator: facts.verifiedInitiator,
      initiatorTrustRoot: facts.initiatorTrustRoot,
      keyBinding: keyBindingOf(facts.confirmation),
      impersonates: facts.descriptor.impersonate === true,
    },
    role: {
      name: role.name,
      backendId: role.backendId,
      backendType: registered.type,
      dataClass: role.dataClass,
      reversibility: role.reversibility,
      environment: role.environment,
    },
    plan,
    ttlSeconds: input.ttlSeconds,
  };
}

/** What everybody is told whom no policy permits, whether or not the role exists. */
export const noPermitText = (facts: Pick<TaskFacts, "workload">, role: RoleName): string =>
  `No policy permits ${role} for ${workloadName(facts.workload)}.`;

/** The verdict on a role that is not registered: the same words as on one that is not permitted. */
export function decideUnknownRole(
  view: CatalogView,
  input: Pick<DecideInput, "id" | "facts" | "now"> & { readonly role: RoleName },
): Decision {
  const { facts, role } = input;
  return {
    id: input.id,
    taskId: facts.taskId,
    request: {
      action: "issue",
      workload: workloadJson(facts),
      role: { name: role, backendId: backendOfRole(role), registered: false },
    },
    verdict: {
      effect: "deny",
      why: "no_permit",
      determining: [],
      explanation: noPermitText(facts, role),
    },
    policyDigest: view.policyDigest,
    decidedAt: input.now,
  };
}

/** The words for the caller. */
export function publicExplanation(
  verdict: Extract<Verdict, { effect: "deny" }>,
  facts: Pick<TaskFacts, "workload">,
  role: RoleName,
): string {
  return verdict.why === "no_permit" ? noPermitText(facts, role) : verdict.explanation;
}

export function workloadJson({ workload }: Pick<TaskFacts, "workload">): JsonObject {
  const attributes = Object.entries(workload.attributes).map(
    ([name, { value, stability }]): [string, JsonObject] => [name, { value, stability }],
  );
  return {
    name: workloadName(workload),
    trustRoot: workload.trustRoot,
    kind: workload.kind,
    issuer: workload.issuer,
    subject: workload.subject,
    attributes: Object.fromEntries(attributes),
  };
}

function jsonOf(request: AccessRequest): JsonObject {
  const { plan } = request;
  return {
    action: request.action,
    workload: workloadJson(request),
    actorChain: request.actorChain,
    task: { ...request.task },
    role: { ...request.role },
    plan: {
      leaseId: plan.leaseId,
      externalName: plan.externalName,
      expiresAt: plan.expiresAt,
      grant: plan.grant,
    },
    ttlSeconds: request.ttlSeconds,
  };
}
