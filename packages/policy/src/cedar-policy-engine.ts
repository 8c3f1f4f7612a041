import { statefulIsAuthorized } from "@cedar-policy/cedar-wasm/nodejs";
import {
  InvalidInput,
  type AccessRequest,
  type PolicyEngine,
  type PolicyId,
  type Verdict,
} from "@mayfly/spec";
import { cedarRequest, type CedarRequest } from "./cedar-request.ts";
import { explain, type PolicyExplanation } from "./explain.ts";
import { digestOf } from "./normal-form.ts";
import type { ParsedPolicy } from "./parsed-policy.ts";
import { PREPARED_SCHEMA, preparedName, type PreparedPolicies } from "./prepared-policies.ts";
import { sliceByRole } from "./slices.ts";
import { verdict } from "./verdict.ts";

/** A policy engine that can also say what each of its policies made of a request. */
export interface CedarPolicyEngine extends PolicyEngine {
  /**
   * For administrators and `explain`: names policies and facts that a caller must not see. Costs a
   * parse of every policy, so it has no place in the exchange.
   */
  explain(request: AccessRequest): PolicyExplanation;
}

/** The policies are admitted ones, with unique ids, that validate against the schema. */
export function createCedarPolicyEngine(policies: readonly ParsedPolicy[]): CedarPolicyEngine {
  const sorted = policies.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const byId = new Map<string, ParsedPolicy>(sorted.map((policy) => [policy.id, policy]));
  const sliceFor = sliceByRole(sorted);
  const decide = (request: AccessRequest): Verdict => decideOn(request, sliceFor, byId);
  // Parsed now, so that what Cedar cannot read fails here and not in a decision.
  preparedName(sliceFor(null));
  return {
    digest: digestOf(sorted),
    policyIds: sorted.map((policy): PolicyId => policy.id),
    decide,
    explain: (request) => ({ verdict: decide(request), policies: explain(sorted, request) }),
  };
}

function decideOn(
  request: AccessRequest,
  sliceFor: (role: string | null) => PreparedPolicies,
  byId: ReadonlyMap<string, ParsedPolicy>,
): Verdict {
  let facts: CedarRequest;
  try {
    facts = cedarRequest(request);
  } catch (error) {
    return verdict.invalid(InvalidInput.is(error) ? error.message : "it is malformed");
  }
  try {
    const answer = statefulIsAuthorized({
      ...facts,
      preparsedPolicySetId: preparedName(sliceFor(request.role.name)),
      preparsedSchemaName: PREPARED_SCHEMA,
      validateRequest: true,
    });
    if (answer.type === "failure") {
      return verdict.invalid("its facts do not have the form that policies are written against");
    }
    const { decision, diagnostics } = answer.response;
    const named = (ids: readonly string[]): readonly ParsedPolicy[] =>
      [...new Set(ids)].toSorted().flatMap((id) => byId.get(id) ?? []);
    if (diagnostics.errors.length > 0) {
      return verdict.failed(request, named(diagnostics.errors.map((error) => error.policyId)));
    }
    const [first, ...rest] = named(diagnostics.reason);
    if (decision === "allow" && first !== undefined) {
      return verdict.permitted(request, [first, ...rest]);
    }
    if (first !== undefined) return verdict.forbidden(request, [first, ...rest]);
    return decision === "deny" ? verdict.notPermitted(request) : verdict.failed(request, []);
  } catch {
    // Cedar throws on malformed calls and when its memory is exhausted: no answer is a no.
    return verdict.failed(request, []);
  }
}
