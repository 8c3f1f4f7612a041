import {
  administrationText,
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
  const view = await parts.catalog.fresh();
  const decision = decideOn(parts, view, by, ask);
  const permitted = decision.verdict.effect === "permit";
  const isLook = ask.action === "read";
  if (!permitted || !isLook) await record(parts, by, decision);
  if (!permitted) throw denialOf(view, by, ask, decision);
  return { actor: actorOf(by), decisionId: isLook ? null : decision.id };
}

/** What one change asks, each a decision of its own; the first is the one that events name. */
export type Asks = readonly [Ask, ...Ask[]];

/** All of them must be permitted. Throws `denied`, for the first that is not. */
export async function authoriseAll(
  parts: CoreParts,
  by: Author,
  [first, ...rest]: Asks,
): Promise<Authority> {
  const authority = await authorise(parts, by, first);
  for (const ask of rest) await authorise(parts, by, ask);
  return authority;
}

/**
 * Whoever registers what is there already may switch it on or off with it, if that is permitted
 * too: registering alone is no way around a switch. None for what is new, or stays as it is.
 */
export const askToSwitch = (
  existing: { readonly enabled: boolean } | null,
  enabled: boolean,
  resource: () => AdministeredResource,
): readonly Ask[] =>
  existing === null || existing.enabled === enabled
    ? []
    : [{ action: enabled ? "enable" : "disable", resources: [resource()] }];

/** For a plan: only a denial leaves a row. */
export async function requireAuthorised(parts: CoreParts, by: Author, asks: Asks): Promise<void> {
  if (by.kind !== "identity") return;
  const view = await parts.catalog.fresh();
  for (const ask of asks) {
    const decision = decideOn(parts, view, by, ask);
    if (decision.verdict.effect === "permit") continue;
    await record(parts, by, decision);
    throw denialOf(view, by, ask, decision);
  }
}

/** Pure, and leaves no row: for leaving out of a list what its reader may not see. */
export const isPermitted = (view: CatalogView, by: Author, ask: Ask): boolean =>
  by.kind !== "identity" || verdictOn(view, by, ask).effect === "permit";

const actorOf = (by: IdentityAuthor): Actor => ({
  kind: "administrator",
  name: workloadName(by.workload),
});

function verdictOn(view: CatalogView, by: IdentityAuthor, { action, resources }: Ask): Verdict {
  if (!by.mayAdminister || !vouchesForAdministrators(view, by)) {
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

/** It was asked when the request began, whose body may have been long on its way since. */
const vouchesForAdministrators = ({ snapshot }: CatalogView, { workload }: IdentityAuthor) =>
  snapshot.trustRoots.some(
    ({ name, enabled, config }) =>
      name === workload.trustRoot && enabled && config["administrators"] === true,
  );

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

function denialOf(
  view: CatalogView,
  by: IdentityAuthor,
  ask: Ask,
  { id, verdict }: Decision,
): BrokerError {
  const { explanation, determining } = mayRead(view, by, ask)
    ? verdict
    : { explanation: inNoWords(by, ask), determining: [] };
  return new BrokerError("denied", explanation, {
    where: "Authorization",
    public: {
      decision: id,
      determining_policies: determining,
      hint: `Whoever may read the ledger sees why: mayfly policy explain ${id}`,
    },
  });
}

/** Which policy forbids tells what the thing is, and that it is there: to who may see it. */
const mayRead = (view: CatalogView, by: IdentityAuthor, { action, resources }: Ask): boolean =>
  !by.mayAdminister || (action !== "read" && isPermitted(view, by, { action: "read", resources }));

/** As of what no policy is about. */
const inNoWords = ({ workload }: IdentityAuthor, { action, resources: [resource] }: Ask): string =>
  `No policy permits ${administrationText({ action, resource })} for ${workloadName(workload)}.`;
