import {
  ADMINISTRATIVE_ACTIONS,
  KEY_BINDINGS,
  LEASE_STATES,
  TASK_STATES,
  type DataClass,
  type Reversibility,
} from "@mayfly/spec";

/**
 * What policies are written against, in Cedar's own schema language; `docs/policies.md` says for
 * people what stands here. Policies are validated strictly against it when they are compiled, and
 * every request when it is decided, so that a policy can neither misspell a fact nor meet a request
 * that lacks one.
 *
 * Absent from a request may be: a tag of the workload, `context.task.initiator` and
 * `context.task.initiator_trust_root`. A policy that reads one must test for it first, and only in
 * a way that its absence can never permit (`presence-rule.ts`).
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
entity Workload in [SpiffePath] = {
  "issuer": String,
  "subject": String,
  "kind": String,
  "trust_root": String,
  // The segments of its SPIFFE ID by their places, and how many there are: "segments=2",
  // "1=agent", "2=invoice-bot". Empty without one.
  "spiffe_path": Set<String>,
} tags String;

// A trust domain or a path of SPIFFE IDs: "spiffe://acme.test", "spiffe://acme.test/agent". A
// workload is in its own id's, and in all that lead there, by whole segments.
entity SpiffePath;

type Task = {
  "deadline_seconds": Long,
  "idle_timeout_seconds": Long,
  // 0 for a task without a parent.
  "depth": Long,
  "targets": Set<String>,
  // Present only if a token proved it.
  "initiator"?: String,
  // The trust root that vouched for the initiator.
  "initiator_trust_root"?: String,
  // What its task tokens are bound to: "none", "dpop", "certificate".
  "key_binding": String,
  // Whether its task tokens name the initiator alone.
  "impersonates": Bool,
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

/**
 * What policies on administration are written against: a schema of its own, so that no permit for
 * credentials reaches administration, whatever it leaves open, and the reverse. May be absent: a
 * tag of the workload, a task's `initiator`, a lease's `workload`.
 */
export const ADMINISTRATION_SCHEMA = `
// All that is registered. Id: "catalog".
entity Catalog;

// All that is recorded. Id: "ledger".
entity Ledger;

// The policies that decide. Id: "active".
entity PolicySet in [Catalog];

// Id: the backend's name.
entity Backend in [Catalog] = {
  "type": String,
};

// Id: "<backend>/<shape>".
entity Role in [Backend, Catalog] = {
  "backend": Backend,
  "backend_type": String,
  "data_class": String,
  "reversibility": String,
  "environment": String,
};

// Id: the trust root's name.
entity TrustRoot in [Catalog] = {
  "kind": String,
  // The OIDC issuer, or "spiffe://<trust domain>".
  "issuer": String,
  // Whether its identities may administer, and be initiators.
  "administrators": Bool,
  "initiators": Bool,
};

// A server that may introspect tokens. Id: its name.
entity ResourceServer in [Catalog] = {
  "audiences": Set<String>,
};

// Id: "task_…".
entity Task in [Ledger] = {
  // Its workload's name.
  "workload": String,
  "state": String,
  "depth": Long,
  "initiator"?: String,
};

// Id: "lease_…". Without a task and a role only where a restore lost its row.
entity Lease in [Task, Role, Backend, Ledger] = {
  "workload"?: String,
  "state": String,
};

// As for credentials.
entity Workload in [SpiffePath] = {
  "issuer": String,
  "subject": String,
  "kind": String,
  "trust_root": String,
  "spiffe_path": Set<String>,
} tags String;
entity SpiffePath;

action "administer";
action "inspect", "manage", "stop" in ["administer"];
action "read" in ["inspect"] appliesTo {
  principal: [Workload],
  resource: [
    Catalog, Ledger, PolicySet, Backend, Role, TrustRoot, ResourceServer, Task, Lease
  ],
};
action "verify" in ["inspect"] appliesTo { principal: [Workload], resource: [Ledger] };
action "test" in ["manage"] appliesTo {
  principal: [Workload],
  resource: [Backend, Role, TrustRoot],
};
action "register", "enable", "delete" in ["manage"] appliesTo {
  principal: [Workload],
  resource: [Backend, Role, TrustRoot, ResourceServer],
};
action "disable" in ["manage", "stop"] appliesTo {
  principal: [Workload],
  resource: [Backend, Role, TrustRoot, ResourceServer],
};
action "activate" in ["administer"] appliesTo { principal: [Workload], resource: [PolicySet] };
// Of the ledger: by selector, whatever it names.
action "end" in ["stop"] appliesTo { principal: [Workload], resource: [Task, Lease, Ledger] };
action "kill" in ["stop"] appliesTo { principal: [Workload], resource: [Task, Ledger] };
`;

/**
 * What policies on impersonation are written against: apart from both others, so that whatever a
 * permit of theirs leaves open, it makes nobody another. A permit names both in its head
 * (`pair-rule.ts`).
 */
export const IMPERSONATION_SCHEMA = `
// Who may be appeared as, as a token proved it. Id: "<issuer>#<subject>".
entity Initiator = {
  // The trust root that vouched for the initiator.
  "trust_root": String,
};

// As for credentials.
entity Workload in [SpiffePath] = {
  "issuer": String,
  "subject": String,
  "kind": String,
  "trust_root": String,
  "spiffe_path": Set<String>,
} tags String;
entity SpiffePath;

action "impersonate" appliesTo { principal: [Workload], resource: [Initiator] };
`;
/** Its only action. */
export const IMPERSONATION_ACTION = "impersonate";

/** Names of its actions and groups. */
export const ADMINISTRATION_ACTIONS: ReadonlySet<string> = new Set([
  ...ADMINISTRATIVE_ACTIONS,
  "administer",
  "inspect",
  "manage",
  "stop",
]);

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
  "principal.kind": ["spiffe", "oidc", "x509"],
  "resource.kind": ["spiffe", "oidc", "x509"],
  "context.task.key_binding": KEY_BINDINGS,
  "resource.state": [...new Set([...TASK_STATES, ...LEASE_STATES])],
};

/** Prefix of the tag of an attribute that its holder, or a stranger, could come to bear. */
export const MUTABLE_TAG_PREFIX = "mutable.";
