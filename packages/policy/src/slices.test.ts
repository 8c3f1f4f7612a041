import { describe, expect, test } from "vitest";
import { accessRequest } from "@mayfly/testkit";
import { createCedarPolicyEngine } from "./cedar-policy-engine.ts";
import { admitPolicies } from "./compile.ts";
import type { ParsedPolicy } from "./parsed-policy.ts";
import { heldPolicies, PREPARED_POLICIES_MAX } from "./prepared-policies.ts";
import { sliceByScope } from "./slices.ts";
import { compareDecisions } from "./testing/compare-decisions.ts";

type Slicer = typeof sliceByScope;
const SLOW = { timeout: 120_000 };
const SEED = 20_261_129;

function engineOf(texts: readonly string[]) {
  const admitted = admitPolicies([{ name: "a.cedar", text: texts.join("") }]);
  if (!admitted.ok) throw new Error(JSON.stringify(admitted.problems.slice(0, 3)));
  return createCedarPolicyEngine(admitted.policies);
}

describe("slices and remembered answers", () => {
  test("agree with Cedar's own, which permits, forbids and fails in plenty", SLOW, () => {
    const sum = { permit: 0, deny: 0, forbidden: 0, failed: 0 };
    for (const size of [1, 2, 3, 5, 8, 13, 20, 50, 120, 220]) {
      const { differing, seen } = compareDecisions({
        policies: size,
        requests: 200,
        seed: SEED + size,
      });
      expect([size, differing]).toEqual([size, 0]);
      for (const what of ["permit", "deny", "forbidden", "failed"] as const)
        sum[what] += seen[what];
    }
    expect(sum.permit).toBeGreaterThan(200);
    expect(sum.forbidden).toBeGreaterThan(100);
    expect(sum.failed).toBeGreaterThan(25);
  });

  const nowhere = { op: "==", entity: { type: "Role", id: "orders-db/nowhere" } } as const;
  const nobody = { op: "==", entity: { type: "Workload", id: "spiffe://no.test/body" } } as const;
  const misreads =
    (misread: (policy: ParsedPolicy) => ParsedPolicy): Slicer =>
    (policies, whole) =>
      sliceByScope(policies.map(misread), whole);
  const withScope = (
    policy: ParsedPolicy,
    scope: Partial<Pick<ParsedPolicy["json"], "principal" | "resource" | "action">>,
  ): ParsedPolicy => ({ ...policy, json: { ...policy.json, ...scope } });

  test.for<readonly [string, Slicer]>([
    [
      "takes a backend for a role",
      misreads((one) =>
        one.json.resource.op === "in" ? withScope(one, { resource: nowhere }) : one,
      ),
    ],
    [
      "leaves forbids out that name no one role",
      misreads((one) =>
        one.json.effect === "forbid" && one.json.resource.op !== "=="
          ? withScope(one, { resource: nowhere })
          : one,
      ),
    ],
    [
      "takes a workload for another",
      misreads((one) =>
        one.json.principal.op === "is" ? withScope(one, { principal: nobody }) : one,
      ),
    ],
    [
      "knows issuing alone",
      misreads((one) =>
        one.json.action.op === "in"
          ? withScope(one, { action: { op: "==", entity: { type: "Action", id: "issue" } } })
          : one,
      ),
    ],
    ["forgets that conditions read facts", misreads((one) => ({ ...one, clauses: [] }))],
  ])("a slicer that %s is found out", SLOW, ([, slicer]) => {
    const differing = [50, 51, 52].map(
      (size) =>
        compareDecisions({ policies: size, requests: 150, seed: SEED + size, slicer }).differing,
    );
    expect(Math.max(...differing)).toBeGreaterThan(0);
  });
});

test("a request for a role that no policy names is decided by the policies that name none", () => {
  const engine = engineOf([
    '@id("p0") permit (principal, action, resource) when { context.task.depth == 0 };',
    '@id("p1") forbid (principal, action, resource == Role::"orders-db/writer");',
  ]);
  expect(engine.decide(accessRequest()).effect).toBe("permit");
  expect(engine.decide(accessRequest({ role: "orders-db/writer" })).determining).toEqual(["p1"]);
  expect(engine.decide(accessRequest({ task: { depth: 1 } })).effect).toBe("deny");
});

test("thousands of kinds of requests leave a bounded number of policies parsed", SLOW, () => {
  const named = Array.from(
    { length: 200 },
    (_, n) => `@id("p${n}") permit (principal, action, resource == Role::"orders-db/r${n}");\n`,
  );
  const open = Array.from(
    { length: 40 },
    (_, n) =>
      `@id("q${n}") permit (principal, action, resource) when { context.ttl_seconds == ${n} };\n`,
  );
  const engine = engineOf([...named, ...open]);
  const before = heldPolicies().policies;
  for (let n = 0; n < 200; n += 1) {
    for (const ttlSeconds of [60, 900, 901, 902, 903, 904]) {
      const verdict = engine.decide(accessRequest({ role: `orders-db/r${n}`, ttlSeconds }));
      expect(verdict.determining).toEqual([`p${n}`]);
    }
  }
  expect(heldPolicies().policies).toBeLessThanOrEqual(PREPARED_POLICIES_MAX);
  expect(heldPolicies().policies).toBeGreaterThan(before);
});
