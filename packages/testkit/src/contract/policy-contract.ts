import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { administeredName, workloadName, type AccessRequest } from "@mayfly/spec";
import {
  ARBITRARY_ROLES,
  ARBITRARY_WORKLOADS,
  accessRequest,
  arbitraryAccessRequest,
} from "../access-request.ts";
import {
  administration,
  administratorName,
  ADMINISTERED,
  ADMINISTRATIVE_PAIRS,
  arbitraryAdministration,
} from "../administration-request.ts";
import type { FakePolicyRule } from "../fake-policy.ts";
import { describeImpersonating } from "./impersonation-contract.ts";
import type { PolicyContractSubject } from "./policy-contract-subject.ts";

const BOT = ARBITRARY_WORKLOADS[0];
const READER = ARBITRARY_ROLES[0];
const PERMIT: FakePolicyRule = { id: "reads", effect: "permit", workload: BOT, role: READER };
const FORBID: FakePolicyRule = { id: "stop", effect: "forbid", role: READER };
const BROKEN: FakePolicyRule = { id: "broken", effect: "permit", fails: true };

const arbitraryRules = fc.uniqueArray(
  fc.record(
    {
      id: fc.stringMatching(/^[a-z][a-z0-9-]{0,5}$/),
      effect: fc.constantFrom("permit" as const, "permit" as const, "forbid" as const),
      workload: fc.constantFrom(...ARBITRARY_WORKLOADS),
      role: fc.constantFrom(...ARBITRARY_ROLES),
      action: fc.constantFrom("issue" as const, "renew" as const),
      fails: fc.constant(true as const),
    },
    { requiredKeys: ["id", "effect"] },
  ),
  { maxLength: 6, selector: (rule) => rule.id },
);

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    Object.values(value).forEach(deepFreeze);
    Object.freeze(value);
  }
  return value;
}

/** The obligations of a {@link PolicyEngine}, by letter. */
export function describePolicyContract(subject: PolicyContractSubject): void {
  describe(`policy engine contract: ${subject.name}`, () => {
    describePurity(subject);
    describeDenials(subject);
    describeIdentity(subject);
    describeAdministering(subject);
    describeImpersonating(subject);
  });
}

function describePurity(subject: PolicyContractSubject): void {
  test("D1. the same engine gives the same verdict for the same request, every time", () => {
    fc.assert(
      fc.property(arbitraryRules, arbitraryAccessRequest, (rules, request) => {
        const engine = subject.engineOf(rules);
        const first = engine.decide(request);
        expect(engine.decide(request)).toEqual(first);
        expect(subject.engineOf(rules.toReversed()).decide(request)).toEqual(first);
      }),
      { numRuns: 60 },
    );
  });

  test.for<readonly [string, AccessRequest]>([
    ["a number that is none", accessRequest({ ttlSeconds: Number.NaN })],
    ["an endless deadline", accessRequest({ task: { deadlineSeconds: Infinity } })],
    ["a fraction", accessRequest({ task: { idleTimeoutSeconds: 0.5 } })],
    ["a negative depth", accessRequest({ task: { depth: -1 } })],
    ["a number past exact integers", accessRequest({ ttlSeconds: 2 ** 53 })],
  ])("D1. never throws: %s is denied as an invalid request", ([, request]) => {
    const verdict = subject.engineOf([PERMIT]).decide(request);
    expect(verdict).toMatchObject({ effect: "deny", why: "invalid_request", determining: [] });
  });

  test("D4. decides on a frozen request and hands back none of its plan", () => {
    const request = deepFreeze(accessRequest());
    const before = JSON.stringify(request);
    const verdict = subject.engineOf([PERMIT]).decide(request);
    expect(JSON.stringify(request)).toBe(before);
    expect(Object.keys(verdict).toSorted()).toEqual(["determining", "effect", "explanation"]);
  });
}

function describeDenials(subject: PolicyContractSubject): void {
  test("D2. an engine without policies denies everything", () => {
    fc.assert(
      fc.property(arbitraryAccessRequest, (request) => {
        const verdict = subject.engineOf([]).decide(request);
        expect(verdict).toMatchObject({ effect: "deny", why: "no_permit", determining: [] });
      }),
      { numRuns: 30 },
    );
  });

  test("D2. what no permit matches is denied, and the words name caller and role alone", () => {
    const engine = subject.engineOf([PERMIT]);
    const verdict = engine.decide(accessRequest({ workload: ARBITRARY_WORKLOADS[1] }));
    expect(verdict).toMatchObject({ effect: "deny", why: "no_permit", determining: [] });
    expect(verdict.explanation).toBe(`No policy permits ${READER} for ${ARBITRARY_WORKLOADS[1]}.`);
    expect(verdict.explanation).not.toContain(PERMIT.id);
  });

  test("a permit that matches permits, and is named", () => {
    const verdict = subject.engineOf([PERMIT]).decide(accessRequest());
    expect(verdict).toMatchObject({ effect: "permit", determining: ["reads"] });
  });

  test("one forbid outweighs every permit, and alone is named", () => {
    const verdict = subject.engineOf([PERMIT, FORBID]).decide(accessRequest());
    expect(verdict).toMatchObject({ effect: "deny", why: "forbidden", determining: ["stop"] });
    expect(verdict.explanation).toContain(`Policy 'stop' forbids ${READER} for ${BOT}.`);
  });

  test("D3. a policy that fails to evaluate counts as a forbid, and is named", () => {
    for (const rules of [[BROKEN], [PERMIT, BROKEN], [PERMIT, FORBID, BROKEN]]) {
      const verdict = subject.engineOf(rules).decide(accessRequest());
      expect(verdict).toMatchObject({
        effect: "deny",
        why: "evaluation_error",
        determining: ["broken"],
      });
    }
  });

  test("adding a forbid never turns a deny into a permit, and one for all denies all", () => {
    fc.assert(
      fc.property(
        arbitraryRules,
        arbitraryRules,
        arbitraryAccessRequest,
        (rules, more, request) => {
          const forbids = more.map((rule): FakePolicyRule => {
            return { ...rule, id: `${rule.id}.added`, effect: "forbid" };
          });
          const before = subject.engineOf(rules).decide(request);
          const after = subject.engineOf([...rules, ...forbids]).decide(request);
          const turned = before.effect === "deny" && after.effect === "permit";
          expect(turned).toBe(false);
          const all: FakePolicyRule = { id: "all.added", effect: "forbid" };
          expect(subject.engineOf([...rules, all]).decide(request).effect).toBe("deny");
        },
      ),
      { numRuns: 60 },
    );
  });
}

function describeIdentity(subject: PolicyContractSubject): void {
  test("the digest is 64 hex digits, ignores order and sees every change", () => {
    const engine = subject.engineOf([PERMIT, FORBID]);
    expect(engine.digest).toMatch(/^[0-9a-f]{64}$/);
    expect(subject.engineOf([FORBID, PERMIT]).digest).toBe(engine.digest);
    expect(subject.engineOf([PERMIT]).digest).not.toBe(engine.digest);
    const renamed = { ...FORBID, id: "stop2" };
    expect(subject.engineOf([PERMIT, renamed]).digest).not.toBe(engine.digest);
    const other = { ...PERMIT, role: ARBITRARY_ROLES[1] };
    expect(subject.engineOf([other, FORBID]).digest).not.toBe(engine.digest);
  });

  test("what determines is always one of the engine's policies", () => {
    fc.assert(
      fc.property(arbitraryRules, arbitraryAccessRequest, (rules, request) => {
        const engine = subject.engineOf(rules);
        expect([...engine.policyIds].toSorted()).toEqual(rules.map((rule) => rule.id).toSorted());
        const { determining } = engine.decide(request);
        expect(determining.every((id) => engine.policyIds.includes(id))).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test("two engines alive at once do not disturb each other", () => {
    const old = subject.engineOf([PERMIT]);
    const next = subject.engineOf([FORBID]);
    for (let turn = 0; turn < 3; turn += 1) {
      expect(old.decide(accessRequest()).effect).toBe("permit");
      expect(next.decide(accessRequest()).effect).toBe("deny");
    }
  });
}

const ALICE = administratorName("alice");
const ADMINISTERS: FakePolicyRule = {
  id: "alice-administers",
  effect: "permit",
  workload: ALICE,
  administer: "anything",
};
const arbitraryAdministrativeRules = fc.uniqueArray(
  fc.record(
    {
      id: fc.stringMatching(/^[a-z][a-z0-9-]{0,5}$/),
      effect: fc.constantFrom("permit" as const, "permit" as const, "forbid" as const),
      administer: fc.constantFrom("anything" as const, "read", "register", "disable", "kill"),
      workload: fc.constantFrom(ALICE, administratorName("bob")),
    },
    { requiredKeys: ["id", "effect", "administer"] },
  ),
  { maxLength: 6, selector: (rule) => rule.id },
);

function describeAdministering(subject: PolicyContractSubject): void {
  test("D2. nobody administers anything without a permitting policy", () => {
    fc.assert(
      fc.property(arbitraryAdministrativeRules, arbitraryAdministration, (rules, request) => {
        const verdict = subject.engineOf(rules).administer(request);
        const who = workloadName(request.workload);
        const isMet = ({ administer, workload }: FakePolicyRule): boolean =>
          (administer === "anything" || administer === request.action) &&
          (workload === undefined || workload === who);
        const met = rules.filter(isMet);
        const permits = met.filter(({ effect }) => effect === "permit");
        const forbids = met.filter(({ effect }) => effect === "forbid");
        const ids = (some: readonly FakePolicyRule[]) => some.map(({ id }) => id).toSorted();
        if (forbids.length === 0 && permits.length > 0) {
          expect(verdict).toMatchObject({ effect: "permit", determining: ids(permits) });
        } else {
          expect(verdict).toMatchObject({ effect: "deny", determining: ids(forbids) });
        }
      }),
      { numRuns: 80 },
    );
  });

  test("D2. a permit for anything reaches every action on all that there is, for its holder", () => {
    const engine = subject.engineOf([ADMINISTERS]);
    for (const pair of ADMINISTRATIVE_PAIRS) {
      expect(engine.administer(administration(pair))).toMatchObject({ effect: "permit" });
      const other = engine.administer(administration({ ...pair, subject: "bob" }));
      expect(other).toMatchObject({ effect: "deny", why: "no_permit", determining: [] });
    }
  });

  test("a permit for one action on one thing permits no other", () => {
    for (const wanted of ADMINISTRATIVE_PAIRS) {
      const rule: FakePolicyRule = {
        id: "one",
        effect: "permit",
        administer: wanted.action,
        on: administeredName(wanted.resource),
      };
      const engine = subject.engineOf([rule]);
      for (const pair of ADMINISTRATIVE_PAIRS) {
        const isWanted =
          pair.action === wanted.action && administeredName(pair.resource) === rule.on;
        const { effect } = engine.administer(administration(pair));
        expect([effect, pair.action, pair.resource]).toEqual([
          isWanted ? "permit" : "deny",
          pair.action,
          pair.resource,
        ]);
      }
    }
  });

  test("D5. a permit for issuing never permits administering, and the reverse", () => {
    fc.assert(
      fc.property(
        arbitraryRules.map((rules) => rules.filter(({ effect }) => effect === "permit")),
        arbitraryAccessRequest,
        arbitraryAdministration,
        (rules, access, request) => {
          const everything: FakePolicyRule = { id: "everything.issued", effect: "permit" };
          const issuing = subject.engineOf([...rules, everything]);
          expect(issuing.administer(request)).toMatchObject({ effect: "deny", why: "no_permit" });
          const anything = { id: "x", effect: "permit", administer: "anything" } as const;
          const administering = subject.engineOf([anything]);
          expect(administering.administer(request).effect).toBe("permit");
          expect(administering.decide(access)).toMatchObject({ effect: "deny", why: "no_permit" });
        },
      ),
      { numRuns: 40 },
    );
  });

  test("D5. a forbid that is about somebody alone forbids both", () => {
    const never: FakePolicyRule = { id: "never", effect: "forbid", workload: ALICE };
    const engine = subject.engineOf([ADMINISTERS, never]);
    expect(engine.administer(administration())).toMatchObject({
      effect: "deny",
      why: "forbidden",
      determining: ["never"],
    });
    const others = subject.engineOf([ADMINISTERS, { ...never, role: READER }]);
    expect(others.administer(administration()).effect).toBe("permit");
  });

  test("the words of a denial name who, what and on what, and no policy that does not apply", () => {
    const verdict = subject.engineOf([ADMINISTERS]).administer(administration({ subject: "bob" }));
    expect(verdict.explanation).toBe(
      `No policy permits 'register' on backend orders-db for ${administratorName("bob")}.`,
    );
  });

  test("D1. administering decides on frozen requests, the same each time", () => {
    for (const resource of ADMINISTERED) {
      const request = deepFreeze(administration({ action: "read", resource }));
      const engine = subject.engineOf([ADMINISTERS]);
      expect(engine.administer(request)).toEqual(engine.administer(request));
    }
  });
}
