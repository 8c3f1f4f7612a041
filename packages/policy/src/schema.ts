import type { DataClass, Reversibility } from "@mayfly/spec";

/**
 * What policies are written against, in Cedar's own schema language; `docs/policies.md` says for
 * people what stands here. Policies are validated strictly against it when they are compiled, and
 * every request when it is decided, so that a policy can neither misspell a fact nor meet a request
 * that lacks one.
 *
 * Two things may be absent from a request: a tag of the workload and `context.task.initiator`.
 * A policy that reads one must test for it first, and only in a way that its absence can never
 * permit (`presence-rule.ts`).
 */
export const POLICY_SCHEMA = `
// A registered place that credentials come from. Id: the backend's name.
entity Backend = {
  "type": String,
};

// A pre-approved shape of credential. Id: "<backend>/<shape>". All of it is registered by the
// platform team; nothing of it comes from the caller.
entity Role in [Backend] = {
  "backend": Backend,
  "backend_type": String,
  "data_class": String,
  "reversibility": String,
  "environment": String,
};

// A verified identity. Id: the SPIFFE ID, or "<issuer>#<subject>". Tags are the attributes that the
// identity's token or certificate carried; what its holder could change bears the prefix
// "mutable.".
entity Workload = {
  "issuer": String,
  "subject": String,
  "kind": String,
  "trust_root": String,
} tags String;

type Task = {
  "deadline_seconds": Long,
  "idle_timeout_seconds": Long,
  // 0 for a task without a parent.
  "depth": Long,
  "targets": Set<String>,
  // Present only if a token proved it.
  "initiator"?: String,
};

type CredentialRequest = {
  "task": Task,
  "ttl_seconds": Long,
  // Names of the workloads of the parent tasks.
  "actors": Set<String>,
  // Exactly what the backend would be asked for, one line for each value: "member_of=app_reader".
  "grant": Set<String>,
};

action "credential";
action "issue", "renew" in ["credential"] appliesTo {
  principal: [Workload],
  resource: [Role],
  context: CredentialRequest,
};
`;

const dataClasses = [
  "public",
  "internal",
  "confidential",
  "restricted",
] as const satisfies readonly DataClass[];
const reversibilities = [
  "read_only",
  "reversible",
  "irreversible",
] as const satisfies readonly Reversibility[];

/**
 * Attributes whose values are a closed list. Cedar sees strings, so comparing one with a word that
 * it can never hold would validate, and a forbid with a typing error would never bite.
 */
export const CLOSED_ATTRIBUTES: Readonly<Record<string, readonly string[]>> = {
  "resource.data_class": dataClasses,
  "resource.reversibility": reversibilities,
  "principal.kind": ["spiffe", "oidc"],
};

/** Prefix of the tag of an attribute that its holder, or a stranger, could come to bear. */
export const MUTABLE_TAG_PREFIX = "mutable.";
