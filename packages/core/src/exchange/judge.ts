import { BrokerError, type Decision, type IssuePlan } from "@mayfly/spec";
import { installedType } from "../catalog/open-backends.ts";
import type { CatalogView } from "../catalog/catalog-view.ts";
import type { CorePorts } from "../ports.ts";
import { credentialPath } from "../descriptor/task-details.ts";
import { mintId } from "../mint-id.ts";
import { decide, decideUnknownRole } from "./decide.ts";
import { planCredential, type Planned, type PlanWorld, type Target } from "./plan.ts";
import { step } from "./step.ts";
import type { TaskFacts, Wanted } from "./task-facts.ts";

export interface Permitted extends Planned {
  readonly kind: "permitted";
  readonly wanted: Wanted;
  readonly target: Target;
  readonly decision: Decision;
}
export interface Denied {
  readonly kind: "denied";
  readonly wanted: Wanted;
  readonly decision: Decision;
}
export type Judged = Permitted | Denied;

/**
 * Steps 3 to 5 for one credential: resolve the role, plan, decide. Asks nobody and writes nothing.
 *
 * A caller who may not have the role does not learn that it exists: not from an unknown name, and
 * not from a complaint about parameters. Throws `invalid_task` otherwise.
 */
export function judge(
  ports: CorePorts,
  view: CatalogView,
  facts: TaskFacts,
  wanted: Wanted,
): Judged {
  requireDeclared(wanted);
  const now = ports.clock.now();
  const id = mintId("decision", ports);
  const target = resolveRole(ports, view, wanted);
  if (target === null) {
    const { role } = wanted.request;
    return { kind: "denied", wanted, decision: decideUnknownRole(view, { id, facts, role, now }) };
  }
  const { installation } = ports;
  const world: PlanWorld = { installation, leaseId: mintId("lease", ports), now };
  const verdictOn = (planned: Pick<Planned, "plan" | "ttlSeconds">): Decision =>
    ports.tracer.spanSync(step("decide", { "mayfly.decision.id": id }), () =>
      decide(view, { id, action: "issue", facts, target, now, ...planned }),
    );
  let planned: Planned;
  try {
    planned = ports.tracer.spanSync(step("plan"), () =>
      planCredential(world, target, facts, wanted),
    );
  } catch (error) {
    const decision = verdictOn({ plan: leastPlan(world, target, facts, wanted), ttlSeconds: 0 });
    if (decision.verdict.effect === "permit") throw error;
    return { kind: "denied", wanted, decision };
  }
  const decision = verdictOn(planned);
  if (decision.verdict.effect === "deny") return { kind: "denied", wanted, decision };
  return { kind: "permitted", wanted, target, decision, ...planned };
}

/** Step 3: what the caller declared itself is no secret to it. */
function requireDeclared(wanted: Wanted): void {
  const { within, request } = wanted;
  if (within === null || within.declared.some(({ role }) => role === request.role)) return;
  const where = `${credentialPath(wanted.index)}.role`;
  throw new BrokerError(
    "invalid_task",
    `${where}: ${within.by} did not declare ${request.role}; open a new task for more`,
    { where },
  );
}

function resolveRole(ports: CorePorts, view: CatalogView, wanted: Wanted): Target | null {
  const role = view.roles.get(wanted.request.role);
  const known = role === undefined ? undefined : view.backends.get(role.backendId);
  if (role === undefined || known === undefined) return null;
  const { registered } = known;
  const type = known.type ?? installedType(ports, registered.id, registered.type);
  return { role, registered, type };
}

/** The role without parameters: for whether the caller may know why its own cannot be planned. */
function leastPlan(world: PlanWorld, target: Target, facts: TaskFacts, wanted: Wanted): IssuePlan {
  const bare: Wanted = {
    ...wanted,
    within: null,
    request: { ...wanted.request, params: {}, ttlSeconds: null },
  };
  try {
    return planCredential(world, target, facts, bare).plan;
  } catch {
    const { leaseId, now } = world;
    return { leaseId, externalName: "", expiresAt: now, grant: {} };
  }
}
