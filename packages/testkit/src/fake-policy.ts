import { createHash } from "node:crypto";
import {
  parsePolicyId,
  workloadName,
  type AccessRequest,
  type PolicyEngine,
  type PolicyId,
  type Verdict,
} from "@mayfly/spec";

/** One line of the fake's permit list. A member that is left out matches everything. */
export interface FakePolicyRule {
  readonly id: string;
  readonly effect: "permit" | "forbid";
  /** As `workloadName` gives it. */
  readonly workload?: string;
  readonly role?: string;
  readonly action?: AccessRequest["action"];
  /** Stands for a policy whose evaluation fails wherever it matches. */
  readonly fails?: true;
}

/**
 * A policy engine over a list, for tests of what stands on policy: no schema, no language, the
 * same obligations (D1 to D4), held by the same contract suite as the real one.
 */
export function createFakePolicyEngine(rules: readonly FakePolicyRule[]): PolicyEngine {
  const list = rules
    .map((rule) => ({ ...rule, id: parsePolicyId(rule.id, "id") }))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const policyIds = list.map((rule) => rule.id);
  if (new Set(policyIds).size !== policyIds.length) {
    throw new Error("fake policy: the same id twice");
  }
  const normal = list.map((rule) => [
    rule.id,
    rule.effect,
    rule.workload ?? null,
    rule.role ?? null,
    rule.action ?? null,
    rule.fails ?? false,
  ]);
  return {
    digest: createHash("sha256").update(JSON.stringify(normal)).digest("hex"),
    policyIds,
    decide: (request) => decide(list, request),
  };
}

type Rule = Omit<FakePolicyRule, "id"> & { readonly id: PolicyId };

function decide(rules: readonly Rule[], request: AccessRequest): Verdict {
  const who = workloadName(request.workload);
  const what = request.role.name;
  const numbers = [
    request.ttlSeconds,
    request.task.deadlineSeconds,
    request.task.idleTimeoutSeconds,
    request.task.depth,
  ];
  if (!numbers.every((value) => Number.isSafeInteger(value) && value >= 0)) {
    const explanation = `The request of ${who} for ${what} holds a number that is no whole number.`;
    return { effect: "deny", why: "invalid_request", determining: [], explanation };
  }
  const matching = rules.filter(
    (rule) =>
      (rule.workload === undefined || rule.workload === who) &&
      (rule.role === undefined || rule.role === what) &&
      (rule.action === undefined || rule.action === request.action),
  );
  const ids = (wanted: (rule: Rule) => boolean) => matching.filter(wanted).map((rule) => rule.id);
  const failed = ids((rule) => rule.fails === true);
  if (failed.length > 0) {
    const explanation = `Policy '${failed.join("', '")}' could not be evaluated.`;
    return { effect: "deny", why: "evaluation_error", determining: failed, explanation };
  }
  const forbidding = ids((rule) => rule.effect === "forbid");
  if (forbidding.length > 0) {
    const explanation = `Policy '${forbidding.join("', '")}' forbids ${what} for ${who}.`;
    return { effect: "deny", why: "forbidden", determining: forbidding, explanation };
  }
  const [first, ...rest] = ids((rule) => rule.effect === "permit");
  if (first === undefined) {
    const explanation = `No policy permits ${what} for ${who}.`;
    return { effect: "deny", why: "no_permit", determining: [], explanation };
  }
  const explanation = `Policy '${[first, ...rest].join("', '")}' permits ${what} for ${who}.`;
  return { effect: "permit", determining: [first, ...rest], explanation };
}
