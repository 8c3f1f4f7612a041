import fc from "fast-check";
import { expect, test } from "vitest";
import { workloadName } from "@mayfly/spec";
import { accessRequest, ARBITRARY_WORKLOADS } from "../access-request.ts";
import { administration } from "../administration-request.ts";
import type { FakePolicyRule } from "../fake-policy.ts";
import {
  ARBITRARY_INITIATORS,
  arbitraryImpersonation,
  impersonation,
} from "../impersonation-request.ts";
import type { PolicyContractSubject } from "./policy-contract-subject.ts";

const arbitraryPairRules: fc.Arbitrary<readonly FakePolicyRule[]> = fc.uniqueArray(
  fc.record(
    {
      id: fc.stringMatching(/^[a-z][a-z0-9-]{0,5}$/),
      effect: fc.constantFrom("permit" as const, "permit" as const, "forbid" as const),
      impersonate: fc.constantFrom(...ARBITRARY_INITIATORS),
      workload: fc.constantFrom(...ARBITRARY_WORKLOADS),
    },
    { requiredKeys: ["id", "effect", "impersonate", "workload"] },
  ),
  { maxLength: 6, selector: (rule) => rule.id },
);

/** Each run compiles a set; beside other tests, a compilation may take 100 ms. */
const SLOW = { timeout: 120_000 };

/** The obligations of a policy engine towards who is to appear as another. */
export function describeImpersonating(subject: PolicyContractSubject): void {
  test("D6. a pair is permitted by a policy that names exactly it, and by no others", SLOW, () => {
    fc.assert(
      fc.property(arbitraryPairRules, arbitraryImpersonation, (rules, request) => {
        const everything: readonly FakePolicyRule[] = [
          { id: "everything.issued", effect: "permit" },
          { id: "everything.administered", effect: "permit", administer: "anything" },
        ];
        const verdict = subject.engineOf([...rules, ...everything]).impersonate(request);
        const met = rules.filter(
          ({ workload, impersonate }) =>
            workload === workloadName(request.workload) && impersonate === request.initiator,
        );
        const ids = (effect: FakePolicyRule["effect"]) =>
          met.flatMap((rule) => (rule.effect === effect ? [rule.id] : [])).toSorted();
        const [permits, forbids] = [ids("permit"), ids("forbid")];
        if (forbids.length === 0 && permits.length > 0) {
          expect(verdict).toMatchObject({ effect: "permit", determining: permits });
        } else {
          expect(verdict).toMatchObject({ effect: "deny", determining: forbids });
        }
      }),
      { numRuns: 40 },
    );
  });

  test("D6. the cases above hold pairs that are permitted, forbidden and not named", SLOW, () => {
    const seen = { permitted: 0, forbidden: 0, unnamed: 0 };
    const cases = fc.sample(fc.tuple(arbitraryPairRules, arbitraryImpersonation), {
      numRuns: 40,
      seed: 7,
    });
    for (const [rules, request] of cases) {
      const verdict = subject.engineOf(rules).impersonate(request);
      if (verdict.effect === "permit") seen.permitted += 1;
      else seen[verdict.determining.length > 0 ? "forbidden" : "unnamed"] += 1;
    }
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(0);
  });

  test("D5. a permit to impersonate permits no credential and no administration", () => {
    const request = impersonation();
    const rule: FakePolicyRule = {
      id: "pair",
      effect: "permit",
      workload: workloadName(request.workload),
      impersonate: request.initiator,
    };
    const engine = subject.engineOf([rule]);
    expect(engine.impersonate(request)).toMatchObject({ effect: "permit", determining: ["pair"] });
    const none = { effect: "deny", why: "no_permit", determining: [] };
    const { workload } = request;
    expect(engine.decide({ ...accessRequest(), workload })).toMatchObject(none);
    expect(engine.administer({ ...administration(), workload })).toMatchObject(none);
  });

  test("D5. a forbid that is about somebody alone forbids impersonating too", () => {
    const request = impersonation();
    const workload = workloadName(request.workload);
    const pair: FakePolicyRule = {
      id: "pair",
      effect: "permit",
      workload,
      impersonate: request.initiator,
    };
    const never: FakePolicyRule = { id: "never", effect: "forbid", workload };
    const engine = subject.engineOf([pair, never]);
    expect(engine.impersonate(request)).toMatchObject({
      effect: "deny",
      why: "forbidden",
      determining: ["never"],
    });
  });

  test("the words of a denial name who and whom", () => {
    const request = impersonation();
    expect(subject.engineOf([]).impersonate(request).explanation).toBe(
      `No policy permits ${workloadName(request.workload)} to impersonate ${request.initiator}.`,
    );
  });
}
