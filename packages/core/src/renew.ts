import {
  BrokerError,
  workloadName,
  type CallContext,
  type DurationSeconds,
  type InstantMs,
  type IssueContext,
  type IssuePlan,
  type JsonObject,
  type Lease,
  type LeaseId,
  type OpenBackend,
  type RecordedRenewal,
  type RoleName,
  type Secret,
  type Task,
  bindingOf,
  earliest,
  plusSeconds,
} from "@mayfly/spec";
import { pastActorsOf } from "./actor-chain.ts";
import { requireActive, requireRecentProof } from "./authenticate-task.ts";
import type { CatalogView } from "./catalog/catalog-view.ts";
import { installedType } from "./catalog/open-backends.ts";
import type { CoreParts } from "./core-parts.ts";
import { requireStillPermitted } from "./impersonation.ts";
import { requireRoleEnabled } from "./issuing-gate.ts";
import { decide, decideUnknownRole, publicExplanation } from "./exchange/decide.ts";
import { checkedPlan, type Target } from "./exchange/plan.ts";
import { factsOfTask, type TaskFacts } from "./exchange/task-facts.ts";
import { nextLeaseState } from "./lease-machine.ts";
import { mintId } from "./mint-id.ts";
import { wakeAt } from "./wake.ts";
import { withDeadline } from "./with-deadline.ts";

export interface RenewRequest {
  readonly leaseId: LeaseId;
  /** Null: as long as role, task and declared `ttl` allow. */
  readonly ttlSeconds: DurationSeconds | null;
  /** The holder, as `authenticateTask` read it. */
  readonly task: Task;
}

const ATTEMPTS_MAX = 3;

/**
 * Moves a lease's expiry, as a new decision under today's policy and role. The later expiry is
 * durable before the backend is asked. Throws `not_found` (also for another task's lease),
 * `conflict` (not active, or not later), `denied`, `task_ended`, `issuing_paused`.
 */
export async function renewLease(
  parts: CoreParts,
  request: RenewRequest,
  context: CallContext,
): Promise<Lease> {
  const { task } = request;
  requireActive(parts, task);
  requireRecentProof(parts, task);
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    // Before a denial as before a permit: renewing is rare, and one read makes both true.
    const view = await parts.catalog.fresh();
    const { lease, role } = await ownLease(parts, request);
    await requireStillPermitted(parts, task);
    const target = resolve(parts, view, role, lease);
    const facts = await factsFor(parts, task);
    const recorded = await decideAndRecord(parts, view, facts, target, lease, request);
    if (recorded.kind === "stale_catalog") continue;
    await parts.ports.failPoints.reached("renew.recorded");
    const renewed = await extend(parts, target, recorded, context);
    await parts.ports.failPoints.reached("renew.after");
    return renewed;
  }
  throw new BrokerError("busy", "The catalog keeps changing.", { retryAfterSeconds: 1 });
}

async function ownLease(
  parts: CoreParts,
  { leaseId, task }: RenewRequest,
): Promise<{ readonly lease: Lease; readonly role: RoleName }> {
  const lease = await parts.ports.taskLedger.lease(leaseId);
  if (lease === null || lease.taskId !== task.id || lease.role === null) {
    throw new BrokerError("not_found", `There is no lease ${leaseId} of this task.`, {
      where: "lease",
    });
  }
  if (nextLeaseState(lease.state, "renew") !== null) return { lease, role: lease.role };
  throw new BrokerError("conflict", `${leaseId} is ${lease.state}; only an active one is renewed.`);
}

function resolve(
  parts: CoreParts,
  view: CatalogView,
  roleName: RoleName,
  lease: Lease,
): Target | null {
  const role = view.roles.get(roleName);
  const known = view.backends.get(lease.backendId);
  if (role === undefined || known === undefined) return null;
  const { registered } = known;
  return { role, registered, type: installedType(parts.ports, registered.id, registered.type) };
}

async function factsFor(parts: CoreParts, task: Task): Promise<TaskFacts> {
  const ancestors = await Promise.all(task.ancestors.map((id) => parts.ports.taskLedger.find(id)));
  const actorChain = ancestors.flatMap((one) => (one === null ? [] : [workloadName(one.workload)]));
  return factsOfTask(task, actorChain, await pastActorsOf(parts, task));
}

async function decideAndRecord(
  parts: CoreParts,
  view: CatalogView,
  facts: TaskFacts,
  target: Target | null,
  lease: Lease,
  request: RenewRequest,
): Promise<RecordedRenewal> {
  const { ports } = parts;
  const now = ports.clock.now();
  const id = mintId("decision", ports);
  if (target === null) return deny(parts, facts, lease, unknownRole(view, facts, lease, id, now));
  if (!target.type.capabilities.canRenew) {
    throw new BrokerError(
      "invalid_input",
      `Credentials of ${target.role.name} are not renewable.`,
      {
        where: "lease",
      },
    );
  }
  const until = laterExpiry(target, facts, request, now);
  const still = stillGranted(parts, target, facts, lease, until);
  const plan = still ?? { ...lease.plan, expiresAt: until };
  const ttlSeconds = Math.max(0, Math.ceil((plan.expiresAt - now) / 1000));
  const base = { id, action: "renew", facts, target, plan, ttlSeconds, now } as const;
  const judged = decide(view, base);
  const decision =
    judged.verdict.effect === "permit" && still === null
      ? unknownRole(view, facts, lease, id, now)
      : judged;
  if (decision.verdict.effect === "deny") return deny(parts, facts, lease, decision);
  if (plan.expiresAt <= lease.expiresAt) {
    throw new BrokerError(
      "conflict",
      `${lease.id} already lives as long as role, task, declared ttl and request allow.`,
      {
        where: "ttl",
        public: {
          hint:
            "It stays as it is, and works until it expires. Ask for a later expiry than it has; " +
            "beyond what role and task allow, draw another one or open a new task.",
        },
      },
    );
  }
  requireRoleEnabled(target.role);
  await parts.gate.check(target.registered, target.type);
  const { expiresAt } = plan;
  const catalogVersion = view.version;
  return ports.issueLedger.recordRenewal({
    leaseId: lease.id,
    expiresAt,
    decision,
    catalogVersion,
  });
}

function laterExpiry(
  target: Target,
  facts: TaskFacts,
  { ttlSeconds }: RenewRequest,
  now: InstantMs,
): InstantMs {
  const seconds = Math.min(
    target.role.ttlSecondsMax,
    target.type.capabilities.ttlSecondsMax,
    ttlSeconds ?? Number.POSITIVE_INFINITY,
  );
  return earliest(plusSeconds(now, seconds), facts.deadlineAt);
}

/**
 * The plan of the renewed lease: the latest that a declared credential allows, of those for which
 * today's role still gives what the lease holds; null if there is none. A declared `ttl` is the
 * longest that one credential lives in all: it counts from the reservation, renewals included.
 */
function stillGranted(
  parts: CoreParts,
  target: Target,
  facts: TaskFacts,
  lease: Lease,
  until: InstantMs,
): IssuePlan | null {
  const declared = facts.descriptor.credentials.filter(({ role }) => role === target.role.name);
  const plans = declared.flatMap(({ params, ttlSeconds }) => {
    const expiresAt =
      ttlSeconds === null ? until : earliest(until, plusSeconds(lease.reservedAt, ttlSeconds));
    const plan: IssuePlan = { ...lease.plan, expiresAt };
    return isStillGranted(parts, target, facts, params, plan) ? [plan] : [];
  });
  return plans.toSorted((a, b) => b.expiresAt - a.expiresAt)[0] ?? null;
}

/** Whether today's role still gives what the lease holds, for these declared parameters. */
function isStillGranted(
  parts: CoreParts,
  target: Target,
  { holder }: TaskFacts,
  params: JsonObject,
  plan: IssuePlan,
): boolean {
  const { installation, clock } = parts.ports;
  const world = { installation, leaseId: plan.leaseId, now: clock.now() };
  try {
    const today = checkedPlan(
      world,
      target,
      holder,
      target.type.parseParams(params),
      plan.expiresAt,
    );
    return target.type.isWithin(plan, today);
  } catch (error) {
    if (BrokerError.is(error) && error.code === "invalid_input") return false;
    throw error;
  }
}

type Decided = ReturnType<typeof decide>;

/** A role that is gone, or gives less now, is renewed for nobody: the words are the same. */
function unknownRole(
  view: CatalogView,
  facts: TaskFacts,
  lease: Lease,
  id: Decided["id"],
  now: InstantMs,
): Decided {
  const { role } = lease;
  if (role === null) throw new BrokerError("internal", `${lease.id} has no role`);
  return decideUnknownRole(view, { id, facts, role, now });
}

async function deny(
  parts: CoreParts,
  facts: TaskFacts,
  lease: Lease,
  decision: Decided,
): Promise<never> {
  const { verdict } = decision;
  if (verdict.effect === "permit" || lease.role === null) {
    throw new BrokerError("internal", "a permit was taken for a denial");
  }
  const { role } = lease;
  const workload = workloadName(facts.workload);
  await parts.ports.issueLedger.recordDenial({ decision, workload, role });
  throw new BrokerError("denied", publicExplanation(verdict, facts, role), {
    where: "lease",
    public: {
      decision: decision.id,
      determining_policies: verdict.determining,
      hint:
        "The credential works until it expires. Renewing is an action of its own in policies, " +
        `beside issuing; who writes them sees why with: mayfly policy explain ${decision.id}`,
    },
  });
}

async function extend(
  parts: CoreParts,
  target: Target | null,
  recorded: Extract<RecordedRenewal, { kind: "recorded" }>,
  context: CallContext,
): Promise<Lease> {
  const { clock, settings, sealer } = parts.ports;
  const { lease } = recorded;
  const { taskId } = lease;
  if (target === null || taskId === null)
    throw new BrokerError("internal", "a renewal was recorded without a role");
  const { registered, type } = target;
  const issueBy = plusSeconds(clock.now(), settings.issueSeconds);
  const handle = await sealer.open(recorded.sealedHandle, bindingOf.leaseHandle(lease.id));
  const seconds = settings.issueSeconds + type.capabilities.issueCallSecondsMax;
  const what = `renew ${lease.id}`;
  await withDeadline({ clock, seconds, signal: context.signal, what }, (signal) =>
    parts.openBackends.use(registered, (open) =>
      askBackend(open, lease, handle, { ...context, taskId, signal, issueBy }),
    ),
  );
  // Each renewal is later than the last, so its second is a generation that was never used.
  const generation = Math.floor(lease.expiresAt / 1000);
  const { id: leaseId, backendId, expiresAt: at } = lease;
  wakeAt(parts, { leaseId, backendId, at, generation });
  return lease;
}

async function askBackend(
  open: OpenBackend,
  lease: Lease,
  handle: Secret,
  context: Omit<IssueContext, "checkpoint">,
): Promise<InstantMs> {
  if (open.renewal.kind === "none") {
    throw new BrokerError("internal", `${lease.backendType} says that it renews, and cannot`);
  }
  const checkpoint = (): Promise<never> =>
    Promise.reject(new BrokerError("internal", "a renewal has no checkpoint"));
  return open.renewal.extend(lease.plan, handle, lease.expiresAt, { ...context, checkpoint });
}
