import { statefulIsAuthorized } from "@cedar-policy/cedar-wasm/nodejs";
import {
  administrationText,
  InvalidInput,
  workloadName,
  type AccessRequest,
  type AdministrationRequest,
  type PolicyEngine,
  type PolicyId,
  type Verdict,
} from "@mayfly/spec";
import { administrationRequest } from "./administration-request.ts";
import { cedarRequest, type CedarRequest } from "./cedar-request.ts";
import { explain, type PolicyExplanation } from "./explain.ts";
import { digestOf } from "./normal-form.ts";
import type { ParsedPolicy } from "./parsed-policy.ts";
import {
  PREPARED_ADMINISTRATION,
  PREPARED_SCHEMA,
  preparedName,
  type PreparedPolicies,
} from "./prepared-policies.ts";
import { ADMINISTRATION_SCHEMA, POLICY_SCHEMA } from "./schema.ts";
import { prepared, sliceByRole } from "./slices.ts";
import { verdict } from "./verdict.ts";

/** A policy engine that can also say what each of its policies made of a request. */
export interface CedarPolicyEngine extends PolicyEngine {
  /**
   * For administrators and `explain`: names policies and facts that a caller must not see. Costs a
   * parse of every policy, so it has no place in the exchange.
   */
  explain(request: AccessRequest): PolicyExplanation;
  explainAdministration(request: AdministrationRequest): PolicyExplanation;
}

/** The policies are admitted ones, with unique ids, that validate against the schema. */
export function createCedarPolicyEngine(policies: readonly ParsedPolicy[]): CedarPolicyEngine {
  const sorted = policies.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const byId = new Map<string, ParsedPolicy>(sorted.map((policy) => [policy.id, policy]));
  const onCredentials = sorted.filter(({ side }) => side !== "administration");
  const onAdministration = sorted.filter(({ side }) => side !== "credentials");
  const sliceFor = sliceByRole(onCredentials);
  const administration = prepared(onAdministration);
  const decide = (request: AccessRequest): Verdict =>
    judge(byId, {
      facts: () => cedarRequest(request),
      about: `${request.role.name} for ${workloadName(request.workload)}`,
      policies: () => sliceFor(request.role.name),
      schemaName: PREPARED_SCHEMA,
    });
  const administer = (request: AdministrationRequest): Verdict =>
    judge(byId, {
      facts: () => administrationRequest(request),
      about: `${administrationText(request)} for ${workloadName(request.workload)}`,
      policies: () => administration,
      schemaName: PREPARED_ADMINISTRATION,
    });
  // Parsed now, so that what Cedar cannot read fails here and not in a decision.
  preparedName(sliceFor(null));
  if (onAdministration.length > 0) preparedName(administration);
  return {
    digest: digestOf(sorted),
    policyIds: sorted.map((policy): PolicyId => policy.id),
    decide,
    administer,
    explain: (request) => ({
      verdict: decide(request),
      policies: explain(onCredentials, POLICY_SCHEMA, () => cedarRequest(request)),
    }),
    explainAdministration: (request) => ({
      verdict: administer(request),
      policies: explain(onAdministration, ADMINISTRATION_SCHEMA, () =>
        administrationRequest(request),
      ),
    }),
  };
}

interface Question {
  /** Throws `InvalidInput` for what cannot be stated. */
  facts(): CedarRequest;
  /** What is asked and for whom, in words. */
  readonly about: string;
  policies(): PreparedPolicies;
  readonly schemaName: string;
}

function judge(byId: ReadonlyMap<string, ParsedPolicy>, { about, ...question }: Question): Verdict {
  let facts: CedarRequest;
  try {
    facts = question.facts();
  } catch (error) {
    return verdict.invalid(InvalidInput.is(error) ? error.message : "it is malformed");
  }
  try {
    const answer = statefulIsAuthorized({
      ...facts,
      preparsedPolicySetId: preparedName(question.policies()),
      preparsedSchemaName: question.schemaName,
      validateRequest: true,
    });
    if (answer.type === "failure") {
      return verdict.invalid("its facts do not have the form that policies are written against");
    }
    const { decision, diagnostics } = answer.response;
    const named = (ids: readonly string[]): readonly ParsedPolicy[] =>
      [...new Set(ids)].toSorted().flatMap((id) => byId.get(id) ?? []);
    if (diagnostics.errors.length > 0) {
      return verdict.failed(about, named(diagnostics.errors.map((error) => error.policyId)));
    }
    const [first, ...rest] = named(diagnostics.reason);
    if (decision === "allow" && first !== undefined) {
      return verdict.permitted(about, [first, ...rest]);
    }
    if (first !== undefined) return verdict.forbidden(about, [first, ...rest]);
    return decision === "deny" ? verdict.notPermitted(about) : verdict.failed(about, []);
  } catch {
    // Cedar throws on malformed calls and when its memory is exhausted: no answer is a no.
    return verdict.failed(about, []);
  }
}
