import type { JsonObject } from "./brand.ts";
import type { BackendId, DecisionId, PolicyId, RoleName, TaskId } from "./ids.ts";
import type { Workload } from "./identity.ts";
import type { IssuePlan } from "./backend.ts";
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
 * that fails to evaluate counts as a forbid. D4. Answers yes or no and never edits a plan.
 */
export interface PolicyEngine {
  /** Hex SHA-256 of the policy set in normal form. */
  readonly digest: string;
  readonly policyIds: readonly PolicyId[];
  decide(request: AccessRequest): Verdict;
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
  compile(
    sources: readonly PolicySource[],
  ):
    | { readonly ok: true; readonly engine: PolicyEngine }
    | { readonly ok: false; readonly problems: readonly PolicyProblem[] };
}
