import {
  BrokerError,
  workloadName,
  type Actor,
  type AdministeredResource,
  type AdministrationRequest,
  type AdministrativeAction,
  type Decision,
  type JsonObject,
  type TaskId,
  type Verdict,
} from "@mayfly/spec";
import type { CatalogView } from "../catalog/catalog-view.ts";
import type { CoreParts } from "../core-parts.ts";
import { workloadJson } from "../exchange/decide.ts";
import { mintId } from "../mint-id.ts";
import type { Author, Authority, IdentityAuthor } from "./author.ts";

/** What is asked: the thing as it would be and, where a change replaces it, as it is. */
export interface Ask {
  readonly action: AdministrativeAction;
  /** All of them must be permitted. */
  readonly resources: readonly [AdministeredResource, ...AdministeredResource[]];
}

/**
 * Today's policies on an administrative request. A denial is on record before its reply, and a
 * permit to change anything before the change; what is only read leaves no row. Throws `denied`
 * with the decision.
 */
export async function authorise(parts: CoreParts, by: Author, ask: Ask): Promise<Authority> {
  if (by.kind !== "identity") return { actor: by, decisionId: null };
  const decision = decideOn(parts, await parts.catalog.fresh(), by, ask);
  const permitted = decision.verdict.effect === "permit";
  const isLook = ask.action === "read";
  if (!permitted || !isLook) await record(parts, by, decision);
  if (!permitted) throw denialOf(decision);
  return { actor: actorOf(by), decisionId: isLook ? null : decision.id };
}

/**
 * Asked again where time has passed since: whoever lost the right meanwhile no longer has it. Only
 * a denial leaves a row.
 */
export async function stillAuthorised(parts: CoreParts, by: Author, ask: Ask): Promise<void> {
  if (by.kind !== "identity") return;
  const decision = decideOn(parts, await parts.catalog.fresh(), by, ask);
  if (decision.verdict.effect === "permit") return;
  await record(parts, by, decision);
  throw denialOf(decision);
}

/** Pure, and leaves no row: for leaving out of a list what its reader may not see. */
export const isPermitted = (view: CatalogView, by: Author, ask: Ask): boolean =>
  by.kind !== "identity" || verdictOn(view, by, ask).effect === "permit";

const actorOf = (by: IdentityAuthor): Actor => ({
  kind: "administrator",
  name: workloadName(by.workload),
});

function verdictOn(view: CatalogView, by: IdentityAuthor, { action, resources }: Ask): Verdict {
  if (!by.mayAdminister) {
    return {
      effect: "deny",
      why: "no_permit",
      determining: [],
      explanation:
        "Only an administrator may do this: the trust root " +
        `${by.workload.trustRoot} is not one of administrators.`,
    };
  }
  const { workload } = by;
  const [first, ...rest] = resources.map((resource) =>
    view.administer({ action, workload, resource }),
  );
  if (first === undefined) throw new Error("nothing was asked");
  return [first, ...rest].find(({ effect }) => effect === "deny") ?? first;
}

function decideOn(parts: CoreParts, view: CatalogView, by: IdentityAuthor, ask: Ask): Decision {
  return {
    id: mintId("decision", parts.ports),
    taskId: taskOf(ask),
    request: requestJson(by, ask),
    verdict: verdictOn(view, by, ask),
    policyDigest: view.policyDigest,
    decidedAt: parts.ports.clock.now(),
  };
}

/** The task that it is about, so that the task's chain tells of it. */
function taskOf({ resources: [resource] }: Ask): TaskId | null {
  switch (resource.kind) {
    case "task":
      // What is not there has no state, and the ledger no such task.
      return resource.state === "" ? null : resource.id;
    case "lease":
      return resource.taskId;
    default:
      return null;
  }
}

function requestJson(by: IdentityAuthor, { action, resources }: Ask): JsonObject {
  const [resource, ...others] = resources.map(resourceJson);
  return {
    action,
    workload: workloadJson(by),
    resource: resource ?? null,
    ...(others.length === 0 ? {} : { also: others }),
  };
}

const resourceJson = (resource: AdministrationRequest["resource"]): JsonObject => ({ ...resource });

const record = (parts: CoreParts, by: IdentityAuthor, decision: Decision): Promise<void> =>
  parts.ports.issueLedger.recordDenial({
    decision,
    workload: workloadName(by.workload),
    role: null,
  });

const denialOf = ({ id, verdict }: Decision): BrokerError =>
  new BrokerError("denied", verdict.explanation, {
    where: "Authorization",
    public: {
      decision: id,
      determining_policies: verdict.determining,
      hint: `Whoever may read the ledger sees why: mayfly policy explain ${id}`,
    },
  });
