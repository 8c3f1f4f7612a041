import { preparsePolicySet, statefulIsAuthorized } from "@cedar-policy/cedar-wasm/nodejs";
import { parsePolicyId, workloadName, type AccessRequest, type Verdict } from "@mayfly/spec";
import { cedarRequest } from "../cedar-request.ts";
import { PREPARED_SCHEMA } from "../prepared-policies.ts";
import { verdict, type PolicyWords } from "../verdict.ts";

/**
 * What Cedar says of a request over a whole set, with nothing left out and nothing remembered. The
 * texts are of policies with the ids `p0`, `p1`, …, in that order, whose engine was made before.
 */
export function createUnslicedCedar(texts: readonly string[]): (request: AccessRequest) => Verdict {
  const name = "unsliced";
  const staticPolicies = Object.fromEntries(texts.map((text, at) => [`p${at}`, text]));
  const answer = preparsePolicySet(name, { staticPolicies });
  if (answer.type === "failure") throw new Error(answer.errors[0]?.message);
  return (request) => verdictOf(name, request);
}

function verdictOf(preparsedPolicySetId: string, request: AccessRequest): Verdict {
  const answer = statefulIsAuthorized({
    ...cedarRequest(request),
    preparsedPolicySetId,
    preparsedSchemaName: PREPARED_SCHEMA,
    validateRequest: true,
  });
  if (answer.type === "failure") throw new Error(answer.errors[0]?.message);
  const { decision, diagnostics } = answer.response;
  const about = `${request.role.name} for ${workloadName(request.workload)}`;
  const failed = diagnostics.errors.map(({ policyId }) => policyId);
  if (failed.length > 0) return verdict.failed(about, inWords(failed));
  const [first, ...rest] = inWords(diagnostics.reason);
  if (first === undefined) return verdict.notPermitted(about);
  return decision === "allow"
    ? verdict.permitted(about, [first, ...rest])
    : verdict.forbidden(about, [first, ...rest]);
}

const inWords = (ids: readonly string[]): readonly PolicyWords[] =>
  ids.toSorted().map((id) => ({ id: parsePolicyId(id, "policy"), description: null }));
