import { isAuthorized } from "@cedar-policy/cedar-wasm/nodejs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { AccessRequest } from "@mayfly/spec";
import {
  accessRequest,
  arbitraryAccessRequest,
  arbitraryCedarForbid,
  arbitraryCedarPolicies,
  textOfCedarPolicy,
  type ArbitraryCedarPolicy,
} from "@mayfly/testkit";
import { cedarRequest } from "./cedar-request.ts";
import { createPolicyCompiler } from "./compile.ts";
import { POLICY_SCHEMA } from "./schema.ts";

const RUNS = { numRuns: 120 };
/** Each run compiles several sets; beside other tests, a compilation may take 100 ms. */
const SLOW = { timeout: 120_000 };
const textsOf = (policies: readonly ArbitraryCedarPolicy[]): readonly string[] =>
  policies.map((policy, at) => textOfCedarPolicy(policy, `p${at}`));

function engineOf(texts: readonly string[]) {
  const compiled = createPolicyCompiler().compile([{ name: "a.cedar", text: texts.join("") }]);
  if (!compiled.ok) throw new Error(`${JSON.stringify(compiled.problems)}\n${texts.join("")}`);
  return compiled.engine;
}

/** The request without some of what may be absent: each tag and the initiator by its bit. */
function without(request: AccessRequest, bits: number): AccessRequest {
  const kept = Object.entries(request.workload.attributes).filter((_, at) => !(bits & (2 << at)));
  return {
    ...request,
    workload: { ...request.workload, attributes: Object.fromEntries(kept) },
    task:
      bits & 1
        ? { ...request.task, verifiedInitiator: null, initiatorTrustRoot: null }
        : request.task,
  };
}

describe("no deny becomes a permit", SLOW, () => {
  test("by adding a forbid", () => {
    fc.assert(
      fc.property(
        arbitraryCedarPolicies,
        arbitraryCedarForbid,
        arbitraryAccessRequest,
        (policies, forbid, request) => {
          const before = engineOf(textsOf(policies)).decide(request);
          const after = engineOf(textsOf([...policies, forbid])).decide(request);
          expect([before.effect, after.effect]).not.toEqual(["deny", "permit"]);
        },
      ),
      RUNS,
    );
  });

  test("by removing attributes or the initiator", () => {
    fc.assert(
      fc.property(arbitraryCedarPolicies, arbitraryAccessRequest, (policies, request) => {
        const engine = engineOf(textsOf(policies));
        const full = engine.decide(request).effect;
        for (let bits = 1; bits < 16; bits += 1) {
          const less = engine.decide(without(request, bits)).effect;
          expect([full, less]).not.toEqual(["deny", "permit"]);
        }
      }),
      RUNS,
    );
  });

  test("and the cases above hold permits, denials and lost permits in plenty", () => {
    const cases = fc.sample(fc.tuple(arbitraryCedarPolicies, arbitraryAccessRequest), {
      numRuns: 200,
      seed: 7,
    });
    const seen = { permit: 0, deny: 0, lost: 0 };
    for (const [policies, request] of cases) {
      const engine = engineOf(textsOf(policies));
      const full = engine.decide(request).effect;
      seen[full] += 1;
      if (full === "permit" && engine.decide(without(request, 15)).effect === "deny")
        seen.lost += 1;
    }
    expect(seen.permit).toBeGreaterThan(25);
    expect(seen.deny).toBeGreaterThan(25);
    expect(seen.lost).toBeGreaterThan(3);
  });
});

describe("deciding", SLOW, () => {
  test("agrees with Cedar's own answer over the whole set, whatever is sliced and prepared", () => {
    fc.assert(
      fc.property(arbitraryCedarPolicies, arbitraryAccessRequest, (policies, request) => {
        const texts = textsOf(policies);
        const { effect, determining } = engineOf(texts).decide(request);
        const raw = rawDecision(texts, request);
        const failed = raw.errors.toSorted();
        expect(effect).toBe(raw.decision === "allow" && failed.length === 0 ? "permit" : "deny");
        expect(determining).toEqual(failed.length > 0 ? failed : raw.reason.toSorted());
      }),
      RUNS,
    );
  });

  test("does not depend on the order of policies, on white space or on comments", () => {
    fc.assert(
      fc.property(arbitraryCedarPolicies, arbitraryAccessRequest, (policies, request) => {
        const texts = textsOf(policies);
        const engine = engineOf(texts);
        const spaced = texts.map((text) => `// ; "\n${text.replaceAll("\n", " // {\n\t")}`);
        const shuffled = engineOf(spaced.toReversed());
        expect(shuffled.digest).toBe(engine.digest);
        expect(shuffled.decide(request)).toEqual(engine.decide(request));
        expect(engine.decide(request)).toEqual(engine.decide(request));
      }),
      RUNS,
    );
  });
});

function rawDecision(texts: readonly string[], request: AccessRequest) {
  const answer = isAuthorized({
    ...cedarRequest(request),
    schema: POLICY_SCHEMA,
    validateRequest: true,
    policies: { staticPolicies: Object.fromEntries(texts.map((text, at) => [`p${at}`, text])) },
  });
  if (answer.type === "failure") throw new Error(answer.errors[0]?.message);
  const { decision, diagnostics } = answer.response;
  const errors = diagnostics.errors.map((error) => error.policyId);
  return { decision, reason: diagnostics.reason, errors };
}

describe("what the presence rule refuses would have let a removal permit", () => {
  const GUARD = 'principal.hasTag("team")';
  const PERMIT = "permit (principal, action, resource)";
  const FORBID = "forbid (principal, action, resource)";
  test.for([
    [`${PERMIT} unless { ${GUARD} };`],
    [`${PERMIT} when { !${GUARD} };`],
    [`${PERMIT} when { ${GUARD} == false };`],
    [`${PERMIT} when { if ${GUARD} then 1 == 2 else 1 == 1 };`],
    [`${PERMIT} when { [false].contains(${GUARD}) };`],
    [`${PERMIT};`, `${FORBID} when { ${GUARD} };`],
    [`${PERMIT};`, `${FORBID} when { ${GUARD} && principal.getTag("team") == "payments" };`],
    [`${PERMIT};`, `${FORBID} unless { !${GUARD} };`],
    [
      `${PERMIT};`,
      `${PERMIT} when { ${GUARD} && context.ttl_seconds * 9007199254740991 * 9007199254740991 > 0 };`,
    ],
  ])("%s", (policies) => {
    const texts = policies.map((text, at) => `@id("p${at}") ${text}`);
    const attributes = { team: { value: "payments", stability: "immutable" } } as const;
    const holds = (request: AccessRequest): boolean => {
      const raw = rawDecision(texts, request);
      return raw.decision === "allow" && raw.errors.length === 0;
    };
    expect(holds(accessRequest({ attributes }))).toBe(false);
    expect(holds(accessRequest())).toBe(true);
    const compiled = createPolicyCompiler().compile([{ name: "a", text: texts.join("\n") }]);
    const problems = compiled.ok ? [] : compiled.problems;
    expect(problems.map((problem) => problem.policyId)).toEqual([`p${policies.length - 1}`]);
    expect(problems[0]?.message).toContain("attribute");
  });
});
