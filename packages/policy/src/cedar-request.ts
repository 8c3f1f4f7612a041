import type { CedarValueJson, Context, Entities, TypeAndId } from "@cedar-policy/cedar-wasm/nodejs";
import { InvalidInput, workloadName, type AccessRequest, type Workload } from "@mayfly/spec";
import { grantLines } from "./grant-lines.ts";
import { REQUEST_LIMITS } from "./limits.ts";
import { MUTABLE_TAG_PREFIX } from "./schema.ts";
import { spiffePlace } from "./spiffe-path.ts";

/** A request in Cedar's terms, as `schema.ts` declares them. */
export interface CedarRequest {
  readonly principal: TypeAndId;
  readonly action: TypeAndId;
  readonly resource: TypeAndId;
  readonly context: Context;
  readonly entities: Entities;
}

/** A request for a credential: the workload, the role and its backend are all that there is. */
export interface CredentialRequest extends CedarRequest {
  readonly context: Context & { readonly task: Readonly<Record<string, CedarValueJson>> };
  readonly entities: [workload: WorkloadEntity, role: Entities[number], backend: Entities[number]];
}

interface WorkloadEntity {
  readonly uid: TypeAndId;
  readonly attrs: Record<"issuer" | "subject" | "kind" | "trust_root", string> & {
    spiffe_path: string[];
  };
  readonly parents: TypeAndId[];
  readonly tags: Record<string, string>;
}

/**
 * States the facts of a request and nothing else: no goal, no reference, no claimed initiator (the
 * request does not even hold them), no clock, no ids of task and lease. Throws {@link InvalidInput}
 * with an end of a sentence ("its …") for what Cedar could not hold exactly.
 */
export function cedarRequest(request: AccessRequest): CredentialRequest {
  const { workload, task, role, plan } = request;
  const principal = principalOf(workload);
  const resource = { type: "Role", id: text(role.name, "role") };
  const backend = { type: "Backend", id: text(role.backendId, "backend") };
  const backendType = text(role.backendType, "backend type");
  const { targets, actors } = REQUEST_LIMITS;
  return {
    principal,
    action: { type: "Action", id: request.action },
    resource,
    context: {
      task: {
        deadline_seconds: whole(task.deadlineSeconds, "deadline"),
        idle_timeout_seconds: whole(task.idleTimeoutSeconds, "idle timeout"),
        depth: whole(task.depth, "depth"),
        key_binding: task.keyBinding,
        impersonates: task.impersonates,
        targets: texts(task.targets, "targets", targets),
        ...(task.verifiedInitiator === null
          ? {}
          : { initiator: text(task.verifiedInitiator, "initiator") }),
        ...(task.initiatorTrustRoot === null
          ? {}
          : { initiator_trust_root: text(task.initiatorTrustRoot, "initiator's trust root") }),
      },
      ttl_seconds: whole(request.ttlSeconds, "lifetime"),
      actors: texts(request.actorChain, "actor chain", actors),
      grant: [...grantLines(plan.grant)],
    },
    entities: [
      workloadEntity(workload),
      {
        uid: resource,
        attrs: {
          backend: { __entity: backend },
          backend_type: backendType,
          data_class: role.dataClass,
          reversibility: role.reversibility,
          environment: text(role.environment, "environment"),
        },
        parents: [backend],
      },
      { uid: backend, attrs: { type: backendType }, parents: [] },
    ],
  };
}

export const principalOf = (workload: Workload): TypeAndId => ({
  type: "Workload",
  id: text(workloadName(workload), "workload's name"),
});

export function workloadEntity(workload: Workload): WorkloadEntity {
  const { parents, lines } = spiffePlace(workload);
  return {
    uid: principalOf(workload),
    attrs: {
      issuer: text(workload.issuer, "issuer"),
      subject: text(workload.subject, "subject"),
      kind: workload.kind,
      trust_root: text(workload.trustRoot, "trust root"),
      spiffe_path: lines,
    },
    parents,
    tags: tagsOf(workload),
  };
}

function tagsOf(workload: Workload): Record<string, string> {
  const attributes = Object.entries(workload.attributes);
  if (attributes.length > REQUEST_LIMITS.attributes) {
    throw new InvalidInput(`its workload has more than ${REQUEST_LIMITS.attributes} attributes`);
  }
  // `fromEntries` defines members, so that a name such as `__proto__` is a name like any other.
  return Object.fromEntries(
    attributes.map(([name, { value, stability }]) => {
      if (name.startsWith(MUTABLE_TAG_PREFIX)) {
        throw new InvalidInput(
          `its workload has an attribute whose name begins with "${MUTABLE_TAG_PREFIX}"`,
        );
      }
      const key = stability === "mutable" ? `${MUTABLE_TAG_PREFIX}${name}` : name;
      return [text(key, "attribute name"), text(value, "attribute value")];
    }),
  );
}

/** Cedar's Long has 64 bits, a JavaScript number 53: what both hold exactly, or nothing. */
export function whole(value: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new InvalidInput(`its ${what} is not a whole number from 0 to 2^53 - 1`);
  }
  return value;
}

/** Lone surrogates would all become U+FFFD on the way to Cedar, and so equal. */
export function text(value: string, what: string): string {
  if (typeof value !== "string" || value.length > REQUEST_LIMITS.textLength) {
    throw new InvalidInput(`its ${what} is longer than ${REQUEST_LIMITS.textLength} characters`);
  }
  if (!value.isWellFormed()) throw new InvalidInput(`its ${what} is not well-formed Unicode`);
  return value;
}

function texts(values: readonly string[], what: string, most: number): string[] {
  if (values.length > most) throw new InvalidInput(`its ${what} has more than ${most} entries`);
  return values.map((value) => text(value, what));
}
