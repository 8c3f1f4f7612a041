import { unreachable, type JsonObject } from "./brand.ts";
import type {
  BackendId,
  DecisionId,
  LeaseId,
  PolicyId,
  ResourceServerName,
  RoleName,
  TaskId,
  TrustRootName,
} from "./ids.ts";
import { workloadName, type TrustRoot, type Workload } from "./identity.ts";
import type { IssuePlan } from "./backend.ts";
import type { LeaseState } from "./lease.ts";
import type { KeyBinding } from "./possession.ts";
import type { TaskState } from "./task.ts";
import type { InstantMs } from "./time.ts";

export type DataClass = "public" | "internal" | "confidential" | "restricted";
export type Reversibility = "read_only" | "reversible" | "irreversible";

/** What is decided on. Every member is a fact: verified, registered or computed, never claimed. */
export interface AccessRequest {
  readonly action: "issue" | "renew";
  readonly workload: Workload;
  /** Outermost first; the workloads on whose task tokens this one acts (parents of the task). */
  readonly actorChain: readonly string[];
  readonly task: {
    readonly deadlineSeconds: number;
    readonly idleTimeoutSeconds: number;
    readonly depth: number;
    readonly targets: readonly string[];
    /** Name of the initiator if a token proved it, else null. A claimed one never gets here. */
    readonly verifiedInitiator: string | null;
    /** Which trust root vouched for the initiator; null without one, or if it is not on record. */
    readonly initiatorTrustRoot: TrustRootName | null;
    /** To what its task tokens are bound, by a proof of possession that was seen. */
    readonly keyBinding: KeyBinding;
    /** Whether its tokens name the initiator alone, and not the workload that acts. */
    readonly impersonates: boolean;
  };
  readonly role: {
    readonly name: RoleName;
    readonly backendId: BackendId;
    readonly backendType: string;
    readonly dataClass: DataClass;
    readonly reversibility: Reversibility;
    readonly environment: string;
  };
  readonly plan: IssuePlan;
  readonly ttlSeconds: number;
}

/** What an administrator may be permitted; the policy schema groups them. */
export const ADMINISTRATIVE_ACTIONS = [
  "read",
  "register",
  "test",
  "enable",
  "disable",
  "delete",
  "activate",
  "end",
  "kill",
  "verify",
] as const;
export type AdministrativeAction = (typeof ADMINISTRATIVE_ACTIONS)[number];

/**
 * What is administered, with the facts that policies may ask about it: registered or recorded ones.
 * `catalog` is the whole of what is registered, `ledger` the whole of what is recorded.
 */
export type AdministeredResource =
  | { readonly kind: "catalog" }
  | { readonly kind: "ledger" }
  | { readonly kind: "policies" }
  | { readonly kind: "backend"; readonly id: BackendId; readonly type: string }
  | {
      readonly kind: "role";
      readonly name: RoleName;
      readonly backendId: BackendId;
      readonly backendType: string;
      readonly dataClass: DataClass | "";
      readonly reversibility: Reversibility | "";
      readonly environment: string;
    }
  | {
      readonly kind: "trust_root";
      readonly name: TrustRootName;
      readonly trustKind: TrustRoot["kind"] | "";
      /** The OIDC issuer, or `spiffe://<trust domain>`. */
      readonly issuer: string;
      /** Whether its identities may administer, and be initiators. */
      readonly administrators: boolean;
      readonly initiators: boolean;
    }
  | {
      readonly kind: "resource_server";
      readonly name: ResourceServerName;
      readonly audiences: readonly string[];
    }
  | {
      readonly kind: "task";
      readonly id: TaskId;
      /** Name of its workload. */
      readonly workload: string;
      readonly state: TaskState | "";
      readonly depth: number;
      readonly verifiedInitiator: string | null;
    }
  | {
      readonly kind: "lease";
      readonly id: LeaseId;
      /** Null where the lease's row was lost (a restore). */
      readonly taskId: TaskId | null;
      readonly role: RoleName | null;
      readonly workload: string | null;
      readonly backendId: BackendId | null;
      readonly state: LeaseState | "";
    };

/** May this identity administer this? Decided apart from issuing: neither permits the other. */
export interface AdministrationRequest {
  readonly action: AdministrativeAction;
  readonly workload: Workload;
  readonly resource: AdministeredResource;
}

/**
 * May this workload appear as this initiator, in tokens that name the initiator alone (RFC 8693
 * section 1.1)? Decided apart from issuing and administering: no permit of theirs is one for this.
 */
export interface ImpersonationRequest {
  readonly workload: Workload;
  /** As a token proved it; the name is `<issuer>#<subject>`, or a SPIFFE ID. */
  readonly initiator: string;
  readonly initiatorTrustRoot: TrustRootName;
}

/** What is asked, as a verdict's explanation has it. */
export const impersonationText = ({
  workload,
  initiator,
}: Pick<ImpersonationRequest, "workload" | "initiator">): string =>
  `${workloadName(workload)} to impersonate ${initiator}`;

/** How verdicts, policy tests and people name what is administered: `backend orders-db`. */
export function administeredName(resource: AdministeredResource): string {
  switch (resource.kind) {
    case "catalog":
    case "ledger":
    case "policies":
      return resource.kind;
    case "backend":
      return `backend ${resource.id}`;
    case "role":
      return `role ${resource.name}`;
    case "trust_root":
      return `trust ${resource.name}`;
    case "resource_server":
      return `resource-server ${resource.name}`;
    case "task":
    case "lease":
      return `${resource.kind} ${resource.id}`;
    default:
      return unreachable(resource);
  }
}

/** What is asked, as a verdict's explanation has it: `'register' on backend orders-db`. */
export const administrationText = (
  request: Pick<AdministrationRequest, "action" | "resource">,
): string => `'${request.action}' on ${administeredName(request.resource)}`;

export type Verdict =
  | {
      readonly effect: "permit";
      readonly determining: readonly [PolicyId, ...PolicyId[]];
      readonly explanation: string;
    }
  | {
      readonly effect: "deny";
      readonly why: "no_permit" | "forbidden" | "evaluation_error" | "invalid_request";
      readonly determining: readonly PolicyId[];
      /** For the caller: who, what, which policy. No other policy's or role's existence. */
      readonly explanation: string;
    };

/** A verdict on record. */
export interface Decision {
  readonly id: DecisionId;
  readonly taskId: TaskId | null;
  readonly request: JsonObject;
  readonly verdict: Verdict;
  readonly policyDigest: string;
  readonly decidedAt: InstantMs;
}

/**
 * D1. Pure and total: no I/O, clock or randomness; never throws. D2. Deny by default. D3. A policy
 * that fails to evaluate counts as a forbid. D4. Answers yes or no and never edits a plan. D5. A
 * permit for issuing never permits administering or impersonating, and none of these another.
 * D6. Impersonating is permitted only by a policy that names exactly this workload and exactly this
 * initiator.
 */
export interface PolicyEngine {
  /** Hex SHA-256 of the policy set in normal form. */
  readonly digest: string;
  readonly policyIds: readonly PolicyId[];
  decide(request: AccessRequest): Verdict;
  administer(request: AdministrationRequest): Verdict;
  impersonate(request: ImpersonationRequest): Verdict;
}

/** One source file of policies, as uploaded. */
export interface PolicySource {
  readonly name: string;
  readonly text: string;
}

export interface PolicyProblem {
  readonly source: string;
  readonly policyId: string | null;
  readonly message: string;
  readonly line: number | null;
}

export interface PolicyCompiler {
  /**
   * Parses, validates against the schema and checks the shape rules (an `@id` on each policy,
   * unique; no condition under which a removed attribute could turn a deny into a permit).
   */
  compile(sources: readonly PolicySource[]):
    | {
        readonly ok: true;
        readonly engine: PolicyEngine;
        /** What may mean more than was meant; refuses nothing. */
        readonly warnings: readonly PolicyProblem[];
      }
    | { readonly ok: false; readonly problems: readonly PolicyProblem[] };
  /**
   * The set that is active: it was compiled when it was activated, perhaps by an earlier version
   * with fewer kinds of things. That a policy reads what one of the new kinds has not is a warning:
   * the set stays in force, and a request on which one of its policies errs is denied. All else
   * that does not validate is a problem, for it could be silently false.
   */
  compileActive(sources: readonly PolicySource[]): ReturnType<PolicyCompiler["compile"]>;
}
