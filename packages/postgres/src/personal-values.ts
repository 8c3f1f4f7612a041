import type { Actor, EventKind, JsonObject } from "@mayfly/spec";

/** What stands where a value was erased: in any text column, and in JSON. */
export const ERASED = "[erased]";

/**
 * Members of what an event says that are about no person: they stay when everything of a task's
 * events is erased. Whatever is not listed goes, so a new member is erased until somebody looks at
 * it. `*` is one step: any name, or any place in a list. Null: such an event is of no task; of it
 * go only values that are the name itself.
 *
 * Hashes of tokens, of rows and of keys are not listed: unsalted, they would confirm a guess.
 */
export const IMPERSONAL: Readonly<Record<EventKind, readonly string[] | null>> = {
  "task.opened": [
    "trustRoot",
    "initiatorTrustRoot",
    "parentId",
    "deadlineAt",
    "descriptor.version",
    "descriptor.deadlineSeconds",
    "descriptor.idleTimeoutSeconds",
    "descriptor.parent",
    "descriptor.impersonate",
    "descriptor.credentials.*.role",
    "descriptor.credentials.*.ttlSeconds",
    "descriptor.credentials.*.issue",
  ],
  "task.heartbeat_proven": ["provenAt"],
  "task.end_requested": ["state", "end"],
  "task.ended": ["state"],
  "decision.permitted": [
    "role",
    "policyDigest",
    "verdict.effect",
    "verdict.why",
    "verdict.determining.*",
  ],
  "decision.denied": [
    "role",
    "policyDigest",
    "verdict.effect",
    "verdict.why",
    "verdict.determining.*",
  ],
  "lease.reserved": [
    "role",
    "backendId",
    "backendRevision",
    "generation",
    "plan.leaseId",
    "plan.externalName",
    "plan.expiresAt",
  ],
  "lease.slot_taken": ["backendId", "slot", "generation", "quarantineSeconds"],
  "lease.activated": ["expiresAt", "fingerprint"],
  "lease.withheld": ["expiresAt", "fingerprint"],
  "lease.abandoned": [],
  "lease.renewed": ["from", "expiresAt"],
  "lease.ending": ["end"],
  "lease.recovering": [],
  "lease.retried": ["attempts", "retryInSeconds"],
  "lease.stuck": ["attempts", "retryInSeconds"],
  "lease.waiting": ["seconds", "exposure.kind", "exposure.until", "exposure.reason"],
  "lease.ended": ["outcome"],
  "lease.resurfaced": ["backendId", "externalName", "rowWasLost"],
  "backend.registered": null,
  "backend.updated": null,
  "backend.enabled": null,
  "backend.disabled": null,
  "backend.deleted": null,
  "role.put": null,
  "role.enabled": null,
  "role.disabled": null,
  "role.deleted": null,
  "trust.put": null,
  "trust.enabled": null,
  "trust.disabled": null,
  "trust.deleted": null,
  "resource_server.put": null,
  "resource_server.enabled": null,
  "resource_server.disabled": null,
  "resource_server.deleted": null,
  "policies.activated": null,
  "signing_key.created": null,
  "signing_key.retired": null,
  "admin_token.created": null,
  "admin_token.replaced": null,
  "selector_end.requested": null,
  "selector_end.finished": null,
  "sealing.resealed": null,
  "ledger.cut": null,
  "ledger.dropped": null,
  "ledger.salted": null,
  "ledger.erased": null,
};

const WORKLOAD: readonly string[] = ["trustRoot", "kind", "attributes.*.stability"];

/** The same for columns of JSON. */
export const IMPERSONAL_OF_COLUMNS: Readonly<Record<string, readonly string[]>> = {
  "tasks.workload": WORKLOAD,
  "tasks.descriptor": [
    "version",
    "deadlineSeconds",
    "idleTimeoutSeconds",
    "parent",
    "impersonate",
    "credentials.*.role",
    "credentials.*.ttlSeconds",
    "credentials.*.issue",
  ],
  "decisions.request": [
    "action",
    ...WORKLOAD.map((path) => `workload.${path}`),
    "task.deadlineSeconds",
    "task.idleTimeoutSeconds",
    "task.depth",
    "task.initiatorTrustRoot",
    "task.impersonates",
    "initiator.trustRoot",
    "role.*",
    "plan.leaseId",
    "plan.externalName",
    "plan.expiresAt",
    "ttlSeconds",
  ],
  "decisions.verdict": ["effect", "why", "determining.*"],
  "leases.plan": ["leaseId", "externalName", "expiresAt"],
};

/** Whose values go. */
export interface PersonSelector {
  /** On whose behalf, verified or claimed; or the workload. */
  readonly by: "initiator" | "workload";
  readonly name: string;
}

/** The name itself, and a reason that was made of it: `ended by <name>`. */
export const isName = (text: string, { name }: PersonSelector): boolean =>
  text === name || text.endsWith(` by ${name}`);

/** How much of a row goes: all that may be about a person, or the name itself alone. */
export type Extent = "all" | "name";

/**
 * A copy in which values are the marker, but for those at these paths; no key, no place in a list
 * and no null changes.
 */
export function eraseValues<T>(
  value: T,
  impersonal: readonly string[],
  extent: Extent,
  selector: PersonSelector,
): T {
  const kept = impersonal.map((path) => path.split("."));
  return mapScalars(value, [], (path, scalar) => {
    if (kept.some((each) => fits(each, path))) return scalar;
    const goes = extent === "all" || (typeof scalar === "string" && isName(scalar, selector));
    return goes ? ERASED : scalar;
  });
}

/** A workload is the person's; an administrator is somebody else, unless it is the name itself. */
export const eraseActor = (actor: Actor, extent: Extent, selector: PersonSelector): Actor =>
  actor.kind === "system"
    ? actor
    : eraseValues(actor, ["kind"], actor.kind === "workload" ? extent : "name", selector);

/** What an event says. */
export const eraseEventData = (
  kind: EventKind,
  data: JsonObject,
  extent: Extent,
  selector: PersonSelector,
): JsonObject => {
  const impersonal = IMPERSONAL[kind];
  return eraseValues(data, impersonal ?? [], impersonal === null ? "name" : extent, selector);
};

const fits = (kept: readonly string[], path: readonly string[]): boolean =>
  kept.length === path.length && kept.every((step, at) => step === "*" || step === path[at]);

type Scalar = string | number | boolean;

/** Of what came out of JSON, so it has the same shape but for the scalars. */
function mapScalars<T>(
  value: T,
  path: readonly string[],
  map: (path: readonly string[], scalar: Scalar) => Scalar,
): T {
  const mapped = mapValue(value, path, map);
  return mapped as T;
}

function mapValue(
  value: unknown,
  path: readonly string[],
  map: (path: readonly string[], scalar: Scalar) => Scalar,
): unknown {
  if (Array.isArray(value)) {
    return value.map((each, at) => mapValue(each, [...path, String(at)], map));
  }
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value);
    return Object.fromEntries(
      members.map(([key, each]) => [key, mapValue(each, [...path, key], map)]),
    );
  }
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean"
    ? map(path, value)
    : value;
}
