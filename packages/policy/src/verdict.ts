import type { PolicyId, Verdict } from "@mayfly/spec";

/** How many policies an explanation names; the verdict's `determining` has them all. */
const NAMED_MAX = 5;

export interface PolicyWords {
  readonly id: PolicyId;
  readonly description: string | null;
}

const sentence = (text: string): string => (/[.!?]$/u.test(text) ? text : `${text}.`);
const quoted = (policies: readonly PolicyWords[]): string => {
  const shown = policies.slice(0, NAMED_MAX).map(({ id }) => `'${id}'`);
  const rest = policies.length - shown.length;
  const parts = rest > 0 ? [...shown, `${rest} more`] : shown;
  const last = parts.pop() ?? "";
  const list = parts.length === 0 ? last : `${parts.join(", ")} and ${last}`;
  return policies.length === 1 ? `Policy ${list}` : `Policies ${list}`;
};
const descriptions = (policies: readonly PolicyWords[]): string =>
  policies
    .slice(0, NAMED_MAX)
    .flatMap(({ description }) => (description === null ? [] : [` ${sentence(description)}`]))
    .join("");
const verb = (policies: readonly PolicyWords[], one: string, many: string): string =>
  policies.length === 1 ? one : many;
const ids = (policies: readonly PolicyWords[]): readonly PolicyId[] => policies.map(({ id }) => id);

/**
 * Verdicts in words: who, what, which policy; never another policy or role. `about` is what is
 * asked and for whom: "orders-db/reader for spiffe://…".
 */
export const verdict = {
  permitted(about: string, by: readonly [PolicyWords, ...PolicyWords[]]): Verdict {
    const [first, ...rest] = by;
    return {
      effect: "permit",
      determining: [first.id, ...ids(rest)],
      explanation: `${quoted(by)} ${verb(by, "permits", "permit")} ${about}.`,
    };
  },
  notPermitted(about: string): Verdict {
    const explanation = `No policy permits ${about}.`;
    return { effect: "deny", why: "no_permit", determining: [], explanation };
  },
  /** What a caller is told leaves out the second sentence, which is for who writes policies. */
  notAccepted(about: string, risk: string): Verdict {
    const explanation =
      `No policy permits ${about}. One that does has to accept its risk by name: ` +
      `@accepts(${JSON.stringify(risk)}).`;
    return { effect: "deny", why: "no_permit", determining: [], explanation };
  },
  forbidden(about: string, by: readonly PolicyWords[]): Verdict {
    const explanation =
      `${quoted(by)} ${verb(by, "forbids", "forbid")} ${about}.` + descriptions(by);
    return { effect: "deny", why: "forbidden", determining: ids(by), explanation };
  },
  failed(about: string, by: readonly PolicyWords[]): Verdict {
    const what = by.length === 0 ? "The policies" : quoted(by);
    const explanation =
      `${what} could not be evaluated on ${about}, which counts as a forbid. ` +
      "The owner of the policy has to correct it.";
    return { effect: "deny", why: "evaluation_error", determining: ids(by), explanation };
  },
  /** `fault` ends a sentence: "its deadline is …". */
  invalid(fault: string): Verdict {
    const explanation = `The request cannot be decided: ${fault}.`;
    return { effect: "deny", why: "invalid_request", determining: [], explanation };
  },
};
