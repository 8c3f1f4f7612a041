import {
  isAuthorized,
  policyToText,
  type Clause,
  type PolicyJson,
} from "@cedar-policy/cedar-wasm/nodejs";
import type { PolicyId, Verdict } from "@mayfly/spec";
import type { CedarRequest } from "./cedar-request.ts";
import type { ParsedPolicy } from "./parsed-policy.ts";

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
  /** In the order of their ids; empty for a request that Cedar cannot be asked about at all. */
  readonly policies: readonly PolicyOutcome[];
}

/**
 * Cedar says of a set which policies were satisfied. So each policy is taken apart: each part of
 * its scope and each condition becomes a permit of its own, and whichever are satisfied hold. Two
 * questions to Cedar: the scopes of all, then the conditions of those in scope.
 */
export function explain(
  policies: readonly ParsedPolicy[],
  schema: string,
  factsOf: () => CedarRequest,
): readonly PolicyOutcome[] {
  let facts: CedarRequest;
  try {
    facts = factsOf();
  } catch {
    return [];
  }
  const scopes = policies.flatMap(({ id, json }) =>
    PARTS.map((part) => [key(id, part), { ...permit([]), [part]: json[part] }] as const),
  );
  const matched = ask(facts, schema, scopes);
  if (matched === null) return [];
  const mismatchedOf = ({ id }: ParsedPolicy): readonly ScopePart[] =>
    PARTS.filter((part) => !matched.held.has(key(id, part)));
  const conditions = policies
    .filter((policy) => mismatchedOf(policy).length === 0)
    .flatMap(({ id, json }) => [
      [key(id, "all"), permit(json.conditions)] as const,
      ...json.conditions.map((clause, at) => [key(id, String(at)), permit([clause])] as const),
    ]);
  const answer = ask(facts, schema, conditions);
  if (answer === null) return [];
  return policies.map((policy) => outcomeOf(policy, mismatchedOf(policy), answer));
}

const PARTS = ["principal", "action", "resource"] as const;
type ScopePart = (typeof PARTS)[number];
const ANY = { principal: { op: "All" }, action: { op: "All" }, resource: { op: "All" } } as const;
const permit = (conditions: Clause[]): PolicyJson => ({ effect: "permit", ...ANY, conditions });
const key = (id: PolicyId, part: string): string => `${id} ${part}`;

interface Answer {
  readonly held: ReadonlySet<string>;
  /** Message by key. */
  readonly errors: ReadonlyMap<string, string>;
}

function outcomeOf(
  policy: ParsedPolicy,
  mismatched: readonly ScopePart[],
  answer: Answer,
): PolicyOutcome {
  const { id, description, source, line, json } = policy;
  const base = { id, effect: json.effect, description, source, line };
  const none = { mismatched: [], failed: [], error: null };
  if (mismatched.length > 0) return { ...base, ...none, outcome: "out_of_scope", mismatched };
  const error = answer.errors.get(key(id, "all"));
  if (error !== undefined) return { ...base, ...none, outcome: "error", error };
  if (answer.held.has(key(id, "all"))) return { ...base, ...none, outcome: "applies" };
  const failed = json.conditions
    .filter((_, at) => !answer.held.has(key(id, String(at))))
    .map(textOf);
  return { ...base, ...none, outcome: "condition_failed", failed };
}

function ask(
  facts: CedarRequest,
  schema: string,
  variants: readonly (readonly [string, PolicyJson])[],
): Answer | null {
  try {
    const answer = isAuthorized({
      ...facts,
      schema,
      validateRequest: true,
      policies: { staticPolicies: Object.fromEntries(variants) },
    });
    if (answer.type === "failure") return null;
    const { reason, errors } = answer.response.diagnostics;
    return {
      held: new Set(reason),
      errors: new Map(errors.map(({ policyId, error }) => [policyId, error.message])),
    };
  } catch {
    return null;
  }
}

/** `when { … }`, on one line. */
function textOf(clause: Clause): string {
  const answer = policyToText(permit([clause]));
  const text = answer.type === "success" ? answer.text : clause.kind;
  return text.slice(text.indexOf(clause.kind)).replace(/;\s*$/u, "").replaceAll(/\s+/gu, " ");
}
