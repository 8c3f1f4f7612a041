import { statefulIsAuthorized } from "@cedar-policy/cedar-wasm/nodejs";
import {
  administrationText,
  impersonationText,
  InvalidInput,
  RISK_MEMBER,
  workloadName,
  type AccessRequest,
  type AdministrationRequest,
  type ImpersonationRequest,
  type PolicyEngine,
  type PolicyId,
  type Verdict,
} from "@mayfly/spec";
import { administrationRequest } from "./administration-request.ts";
import { cedarRequest, type CedarRequest } from "./cedar-request.ts";
import { explain, type PolicyExplanation } from "./explain.ts";
import { readFacts } from "./facts-read.ts";
import { impersonationRequest } from "./impersonation-request.ts";
import { digestOf } from "./normal-form.ts";
import { isForPair } from "./pair-rule.ts";
import { policiesOn, type ParsedPolicy } from "./parsed-policy.ts";
import {
  PREPARED_ADMINISTRATION,
  PREPARED_IMPERSONATION,
  PREPARED_SCHEMA,
  preparedName,
  type PreparedPolicies,
} from "./prepared-policies.ts";
import { createRememberedAnswers, type CedarAnswer } from "./remembered-answers.ts";
import { ADMINISTRATION_SCHEMA, IMPERSONATION_SCHEMA, POLICY_SCHEMA } from "./schema.ts";
import { prepared, sliceByScope } from "./slices.ts";
import { verdict } from "./verdict.ts";

/** A policy engine that can also say what each of its policies made of a request. */
export interface CedarPolicyEngine extends PolicyEngine {
  /**
   * For administrators and `explain`: names policies and facts that a caller must not see. Costs a
   * parse of every policy, so it has no place in the exchange.
   */
  explain(request: AccessRequest): PolicyExplanation;
  explainAdministration(request: AdministrationRequest): PolicyExplanation;
  explainImpersonation(request: ImpersonationRequest): PolicyExplanation;
}

/**
 * The policies are admitted ones, with unique ids, that validate against the schema. `slicer` is
 * another one only where a test shows that a wrong one is found out.
 */
export function createCedarPolicyEngine(
  policies: readonly ParsedPolicy[],
  slicer: typeof sliceByScope = sliceByScope,
): CedarPolicyEngine {
  const sorted = policies.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const byId = new Map<string, ParsedPolicy>(sorted.map((policy) => [policy.id, policy]));
  const onCredentials = policiesOn("credentials", sorted);
  const onAdministration = policiesOn("administration", sorted);
  const onImpersonation = policiesOn("impersonation", sorted);
  const credentials = prepared(onCredentials);
  const sliceFor = slicer(onCredentials, credentials);
  const remembered = createRememberedAnswers();
  const administration = prepared(onAdministration);
  const impersonation = prepared(onImpersonation);
  const decide = (request: AccessRequest): Verdict =>
    judge(byId, {
      facts: () => cedarRequest(request),
      about: () => `${request.role.name} for ${workloadName(request.workload)}`,
      answer: (facts) => {
        const slice = sliceFor(facts);
        const read = `${slice.key}${readFacts(slice.reads, facts)}`;
        return remembered.of(read, () => evaluate(slice.prepared(), PREPARED_SCHEMA, facts));
      },
      counts: accepting(request),
    });
  const administer = (request: AdministrationRequest): Verdict =>
    judge(byId, {
      facts: () => administrationRequest(request),
      about: () => `${administrationText(request)} for ${workloadName(request.workload)}`,
      answer: (facts) => evaluate(administration, PREPARED_ADMINISTRATION, facts),
      counts: null,
    });
  const impersonate = (request: ImpersonationRequest): Verdict =>
    judge(byId, {
      facts: () => impersonationRequest(request),
      about: () => impersonationText(request),
      answer: (facts) => evaluate(impersonation, PREPARED_IMPERSONATION, facts),
      // Admitted ones name a pair, and apply to no other: this is the second lock on the door.
      counts: {
        each: ({ json }) => isForPair(json, request),
        otherwise: (about) => verdict.notPermitted(about),
      },
    });
  // Parsed now, so that what Cedar cannot read fails here and not in a decision.
  preparedName(credentials);
  if (onAdministration.length > 0) preparedName(administration);
  if (onImpersonation.length > 0) preparedName(impersonation);
  return {
    digest: digestOf(sorted),
    policyIds: sorted.map((policy): PolicyId => policy.id),
    decide,
    administer,
    impersonate,
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
    explainImpersonation: (request) => ({
      verdict: impersonate(request),
      policies: explain(onImpersonation, IMPERSONATION_SCHEMA, () => impersonationRequest(request)),
    }),
  };
}

interface Question<F extends CedarRequest> {
  /** Throws `InvalidInput` for what cannot be stated. */
  facts(): F;
  /** What is asked and for whom, in words. */
  about(): string;
  /** Null: the facts do not fit the schema. Throws where Cedar does. */
  answer(facts: F): CedarAnswer | null;
  /** Which permits count; without one, what is answered. Null: every permit counts. */
  readonly counts: {
    each(permit: ParsedPolicy): boolean;
    otherwise(about: string): Verdict;
  } | null;
}

/** A permit of what is risky counts only if it accepts that risk. */
function accepting(request: AccessRequest): Question<CedarRequest>["counts"] {
  const risk = riskOf(request);
  if (risk === null) return null;
  return {
    each: ({ accepts }) => accepts === risk,
    otherwise: (about) => verdict.notAccepted(about, risk),
  };
}

/** Whatever stands there instead of a word is accepted by no policy. */
function riskOf({ plan }: AccessRequest): string | null {
  const risk = plan.grant[RISK_MEMBER];
  if (risk === undefined) return null;
  return typeof risk === "string" ? risk : JSON.stringify(risk);
}

function judge<F extends CedarRequest>(
  byId: ReadonlyMap<string, ParsedPolicy>,
  question: Question<F>,
): Verdict {
  let facts: F;
  try {
    facts = question.facts();
  } catch (error) {
    return verdict.invalid(InvalidInput.is(error) ? error.message : "it is malformed");
  }
  const about = question.about();
  try {
    const answer = question.answer(facts);
    if (answer === null) {
      return verdict.invalid("its facts do not have the form that policies are written against");
    }
    const named = (ids: readonly string[]): readonly ParsedPolicy[] =>
      [...new Set(ids)].toSorted().flatMap((id) => byId.get(id) ?? []);
    if (answer.failed.length > 0) return verdict.failed(about, named(answer.failed));
    const { counts } = question;
    const reasons = named(answer.reason);
    if (answer.decision === "allow" && reasons.length > 0 && counts !== null) {
      const [first, ...rest] = reasons.filter((permit) => counts.each(permit));
      if (first === undefined) return counts.otherwise(about);
      return verdict.permitted(about, [first, ...rest]);
    }
    const [first, ...rest] = reasons;
    if (answer.decision === "allow" && first !== undefined) {
      return verdict.permitted(about, [first, ...rest]);
    }
    if (first !== undefined) return verdict.forbidden(about, [first, ...rest]);
    return answer.decision === "deny" ? verdict.notPermitted(about) : verdict.failed(about, []);
  } catch {
    // Cedar throws on malformed calls and when its memory is exhausted: no answer is a no.
    return verdict.failed(about, []);
  }
}

function evaluate(
  policies: PreparedPolicies,
  schemaName: string,
  { principal, action, resource, context, entities }: CedarRequest,
): CedarAnswer | null {
  const answer = statefulIsAuthorized({
    principal,
    action,
    resource,
    context,
    entities,
    preparsedPolicySetId: preparedName(policies),
    preparsedSchemaName: schemaName,
    validateRequest: true,
  });
  if (answer.type === "failure") return null;
  const { decision, diagnostics } = answer.response;
  const failed = diagnostics.errors.map(({ policyId }) => policyId);
  return { decision, reason: diagnostics.reason, failed };
}
