import { createHash } from "node:crypto";
import {
  administeredName,
  administrationText,
  impersonationText,
  parsePolicyId,
  workloadName,
  type AccessRequest,
  type AdministrationRequest,
  type AdministrativeAction,
  type ImpersonationRequest,
  type PolicyEngine,
  type PolicyId,
  type Verdict,
} from "@mayfly/spec";

/**
 * One line of the fake's permit list. A member that is left out matches everything of its side: a
 * rule with `administer` is about administration, one with `impersonate` about impersonation, any
 * other about credentials.
 */
export interface FakePolicyRule {
  readonly id: string;
  readonly effect: "permit" | "forbid";
  /** As `workloadName` gives it. */
  readonly workload?: string;
  readonly role?: string;
  readonly action?: AccessRequest["action"];
  readonly administer?: AdministrativeAction | "anything";
  /** As `administeredName` gives it. */
  readonly on?: string;
  /** An initiator's name. A permit of it names the workload too. */
  readonly impersonate?: string;
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
  if (list.some((rule) => rule.impersonate !== undefined && isOpenPermit(rule))) {
    throw new Error("fake policy: a permit to impersonate names the workload");
  }
  const normal = list.map((rule) => [
    rule.id,
    rule.effect,
    rule.workload ?? null,
    rule.role ?? null,
    rule.action ?? null,
    rule.fails ?? false,
    rule.administer ?? null,
    rule.on ?? null,
    rule.impersonate ?? null,
  ]);
  return {
    digest: createHash("sha256").update(JSON.stringify(normal)).digest("hex"),
    policyIds,
    decide: (request) => decide(list, request),
    administer: (request) => administer(list, request),
    impersonate: (request) => impersonate(list, request),
  };
}

const isOpenPermit = ({ effect, workload }: FakePolicyRule): boolean =>
  effect === "permit" && workload === undefined;

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
      rule.administer === undefined &&
      rule.impersonate === undefined &&
      (rule.workload === undefined || rule.workload === who) &&
      (rule.role === undefined || rule.role === what) &&
      (rule.action === undefined || rule.action === request.action),
  );
  return verdictOf(matching, `${what} for ${who}`);
}

/** As in the real one, a forbid that names but a workload is about all sides. */
const isAboutAll = (rule: Rule): boolean =>
  rule.effect === "forbid" &&
  rule.administer === undefined &&
  rule.impersonate === undefined &&
  rule.action === undefined &&
  rule.role === undefined &&
  !rule.fails;

const isAbout = (rule: Rule, action: AdministrativeAction): boolean =>
  isAboutAll(rule) || rule.administer === "anything" || rule.administer === action;

function administer(rules: readonly Rule[], request: AdministrationRequest): Verdict {
  const who = workloadName(request.workload);
  const on = administeredName(request.resource);
  const matching = rules.filter(
    (rule) =>
      isAbout(rule, request.action) &&
      (rule.workload === undefined || rule.workload === who) &&
      (rule.on === undefined || rule.on === on),
  );
  return verdictOf(matching, `${administrationText(request)} for ${who}`);
}

function impersonate(rules: readonly Rule[], request: ImpersonationRequest): Verdict {
  const who = workloadName(request.workload);
  const matching = rules.filter(
    (rule) =>
      (rule.impersonate === request.initiator || isAboutAll(rule)) &&
      (rule.workload === undefined || rule.workload === who),
  );
  return verdictOf(matching, impersonationText(request));
}

function verdictOf(matching: readonly Rule[], about: string): Verdict {
  const ids = (wanted: (rule: Rule) => boolean) => matching.filter(wanted).map((rule) => rule.id);
  const failed = ids((rule) => rule.fails === true);
  if (failed.length > 0) {
    const explanation = `Policy '${failed.join("', '")}' could not be evaluated.`;
    return { effect: "deny", why: "evaluation_error", determining: failed, explanation };
  }
  const forbidding = ids((rule) => rule.effect === "forbid");
  if (forbidding.length > 0) {
    const explanation = `Policy '${forbidding.join("', '")}' forbids ${about}.`;
    return { effect: "deny", why: "forbidden", determining: forbidding, explanation };
  }
  const [first, ...rest] = ids((rule) => rule.effect === "permit");
  if (first === undefined) {
    const explanation = `No policy permits ${about}.`;
    return { effect: "deny", why: "no_permit", determining: [], explanation };
  }
  const explanation = `Policy '${[first, ...rest].join("', '")}' permits ${about}.`;
  return { effect: "permit", determining: [first, ...rest], explanation };
}
