import {
  BrokerError,
  durationSeconds,
  earliest,
  plusSeconds,
  type CredentialBackend,
  type CredentialHolder,
  type CredentialRequest,
  type DurationSeconds,
  type InstallationId,
  type InstantMs,
  type IssuePlan,
  type JsonObject,
  type LeaseId,
  type RegisteredBackend,
  type Role,
} from "@mayfly/spec";
import { credentialPath } from "../descriptor/task-details.ts";
import type { TaskFacts, Wanted } from "./task-facts.ts";

/** A role with the backend that it is a shape of. */
export interface Target {
  readonly role: Role;
  readonly registered: RegisteredBackend;
  readonly type: CredentialBackend;
}

export interface Planned {
  readonly plan: IssuePlan;
  /** Normal form. */
  readonly params: JsonObject;
  readonly ttlSeconds: number;
  /** What was asked, cut to what the declared credential it lies within says; null: neither did. */
  readonly declaredTtlSeconds: DurationSeconds | null;
}

export interface PlanWorld {
  readonly installation: InstallationId;
  readonly leaseId: LeaseId;
  readonly now: InstantMs;
}

/** What planning needs to know of the task. */
export type PlannedFacts = Pick<TaskFacts, "deadlineAt" | "holder">;

/**
 * Step 4, pure: exactly what would be asked of the backend, no longer than role, type, task and
 * request allow, and within a declared credential where the wanted one draws on such. Throws
 * `invalid_task` that names the member.
 */
export function planCredential(
  world: PlanWorld,
  target: Target,
  facts: PlannedFacts,
  wanted: Wanted,
): Planned {
  const where = credentialPath(wanted.index);
  const { request, within } = wanted;
  if (within === null) return planOne(world, target, facts, request, where);
  for (const outer of within.declared) {
    if (outer.role !== request.role) continue;
    const narrowed = { ...request, ttlSeconds: shorter(request.ttlSeconds, outer.ttlSeconds) };
    const inner = planOne(world, target, facts, narrowed, where);
    if (isWithinDeclared(world, target, facts.holder, inner.plan, outer)) return inner;
  }
  throw new BrokerError(
    "invalid_task",
    `${where}.params: wider than what ${within.by} declared for ${request.role}; ask for less, ` +
      "or open a new task",
    { where: `${where}.params` },
  );
}

function planOne(
  world: PlanWorld,
  target: Target,
  facts: PlannedFacts,
  request: CredentialRequest,
  where: string,
): Planned {
  const { role, type } = target;
  const ttlSeconds = Math.min(
    role.ttlSecondsMax,
    type.capabilities.ttlSecondsMax,
    request.ttlSeconds ?? Number.POSITIVE_INFINITY,
  );
  const expiresAt = earliest(plusSeconds(world.now, ttlSeconds), facts.deadlineAt);
  const leastSeconds = type.capabilities.ttlSecondsMin;
  if (expiresAt - world.now < leastSeconds * 1000) {
    throw new BrokerError(
      "invalid_task",
      `${where}.ttl: a credential of ${role.name} lives at least ${leastSeconds} s, and less is ` +
        "asked or left of the task",
      { where: `${where}.ttl` },
    );
  }
  try {
    const params = type.parseParams(request.params);
    const plan = checkedPlan(world, target, facts.holder, params, expiresAt);
    return {
      plan,
      params,
      ttlSeconds: Math.ceil((plan.expiresAt - world.now) / 1000),
      declaredTtlSeconds: request.ttlSeconds,
    };
  } catch (error) {
    if (!BrokerError.is(error) || error.code !== "invalid_input") throw error;
    throw new BrokerError("invalid_task", `${where}.${error.message}`, {
      where: `${where}.${error.where ?? "params"}`,
    });
  }
}

/** P3 and P4 of a backend type are not taken on trust: a plan that breaks them is not judged. */
export function checkedPlan(
  world: PlanWorld,
  target: Target,
  holder: CredentialHolder,
  params: JsonObject,
  expiresAt: InstantMs,
): IssuePlan {
  const plan = target.type.plan({
    installation: world.installation,
    leaseId: world.leaseId,
    expiresAt,
    role: target.role.settings,
    params,
    holder,
  });
  if (plan.leaseId === world.leaseId && plan.expiresAt <= expiresAt) return plan;
  throw new BrokerError("internal", `backend type ${target.type.type} planned more than was asked`);
}

function isWithinDeclared(
  world: PlanWorld,
  target: Target,
  holder: CredentialHolder,
  inner: IssuePlan,
  outer: CredentialRequest,
): boolean {
  try {
    const params = target.type.parseParams(outer.params);
    const declared = checkedPlan(world, target, holder, params, inner.expiresAt);
    return target.type.isWithin(inner, declared);
  } catch (error) {
    // The role has changed since, and no longer gives what was declared.
    if (BrokerError.is(error) && error.code === "invalid_input") return false;
    throw error;
  }
}

function shorter(a: DurationSeconds | null, b: DurationSeconds | null): DurationSeconds | null {
  if (a === null || b === null) return a ?? b;
  return durationSeconds(Math.min(a, b));
}
