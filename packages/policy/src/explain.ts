import {
  isAuthorized,
  policyToText,
  type Clause,
  type PolicyJson,
} from "@cedar-policy/cedar-wasm/nodejs";
import { type AccessRequest, type PolicyId, type Verdict } from "@mayfly/spec";
import { cedarRequest, type CedarRequest } from "./cedar-request.ts";
import type { ParsedPolicy } from "./parsed-policy.ts";
import { POLICY_SCHEMA } from "./schema.ts";

/** What one policy made of a request. */
export interface PolicyOutcome {
  readonly id: PolicyId;
  readonly effect: "permit" | "forbid";
  readonly description: string | null;
  readonly source: string;
  readonly line: number;
  /**
   * `applies`: scope and conditions hold. `out_of_scope`: it is about another workload, action or
   * role. `condition_failed`: in scope, but a condition does not hold. `error`: Cedar could not
   * evaluate it, which denies.
   */
  readonly outcome: "applies" | "out_of_scope" | "condition_failed" | "error";
  /** The parts of the scope that do not match. */
  readonly mismatched: readonly ("principal" | "action" | "resource")[];
  /** The conditions that do not hold, as Cedar prints them; only of a policy in scope. */
  readonly failed: readonly string[];
  /** Cedar's words for an evaluation that failed. */
  readonly error: string | null;
}

export interface PolicyExplanation {
  readonly verdict: Verdict;
  /** In the order of their ids; empty for a request that cannot be decided at all. */
  readonly policies: readonly PolicyOutcome[];
}

/**
 * Cedar says of a set which policies were satisfied. So each policy is taken apart: each part of
 * its scope and each condition becomes a permit of its own, and whichever are satisfied hold.
 */
export function explain(
  policies: readonly ParsedPolicy[],
  request: AccessRequest,
): readonly PolicyOutcome[] {
  let facts: CedarRequest;
  try {
    facts = cedarRequest(request);
  } catch {
    return [];
  }
  return policies.map((policy) => outcomeOf(policy, facts));
}

const PARTS = ["principal", "action", "resource"] as const;
const ANY = { principal: { op: "All" }, action: { op: "All" }, resource: { op: "All" } } as const;

function outcomeOf(policy: ParsedPolicy, facts: CedarRequest): PolicyOutcome {
  const { id, description, source, line, json } = policy;
  const base = { id, effect: json.effect, description, source, line };
  const none = { mismatched: [], failed: [], error: null };
  const scope = satisfied(
    { ...facts },
    new Map(PARTS.map((part) => [part, { ...permit([]), [part]: json[part] }])),
  );
  const mismatched = PARTS.filter((part) => !scope.held.has(part));
  if (mismatched.length > 0) return { ...base, ...none, outcome: "out_of_scope", mismatched };
  const whole = satisfied(facts, new Map([["all", permit(json.conditions)]]));
  if (whole.error !== null) return { ...base, ...none, outcome: "error", error: whole.error };
  if (whole.held.has("all")) return { ...base, ...none, outcome: "applies" };
  const clauses = new Map(json.conditions.map((clause, at) => [String(at), permit([clause])]));
  const { held } = satisfied(facts, clauses);
  const failed = json.conditions.filter((_, at) => !held.has(String(at))).map(textOf);
  return { ...base, ...none, outcome: "condition_failed", failed };
}

const permit = (conditions: Clause[]): PolicyJson => ({ effect: "permit", ...ANY, conditions });

function satisfied(
  facts: CedarRequest,
  variants: ReadonlyMap<string, PolicyJson>,
): { readonly held: ReadonlySet<string>; readonly error: string | null } {
  try {
    const answer = isAuthorized({
      ...facts,
      schema: POLICY_SCHEMA,
      validateRequest: true,
      policies: { staticPolicies: Object.fromEntries(variants) },
    });
    if (answer.type === "failure") {
      return { held: new Set(), error: answer.errors[0]?.message ?? "the facts were refused" };
    }
    const { reason, errors } = answer.response.diagnostics;
    return { held: new Set(reason), error: errors[0]?.error.message ?? null };
  } catch {
    return { held: new Set(), error: "Cedar gave no answer" };
  }
}

/** `when { … }`, on one line. */
function textOf(clause: Clause): string {
  const answer = policyToText(permit([clause]));
  const text = answer.type === "success" ? answer.text : clause.kind;
  return text.slice(text.indexOf(clause.kind)).replace(/;\s*$/u, "").replaceAll(/\s+/gu, " ");
}
