import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { workloadName, type ImpersonationRequest } from "@mayfly/spec";
import {
  arbitraryCedarPolicies,
  arbitraryImpersonation,
  impersonation,
  textOfCedarPolicy,
} from "@mayfly/testkit";
import { createCedarPolicyEngine } from "./cedar-policy-engine.ts";
import { admitPolicies, createPolicyCompiler } from "./compile.ts";

const BOT = 'Workload::"spiffe://acme.test/agent/invoice-bot"';
const ALICE = 'Initiator::"https://login.acme.test#alice"';
const ACTION = 'action == Action::"impersonate"';
const PAIR = `permit (principal == ${BOT}, ${ACTION}, resource == ${ALICE})`;
const SLOW = { timeout: 120_000 };

const compiler = createPolicyCompiler();
const compile = (...policies: readonly string[]) => {
  const text = policies.map((policy, at) => `@id("p${at}") ${policy};`).join("\n");
  return compiler.compile([{ name: "a.cedar", text }]);
};
function engineOf(...policies: readonly string[]) {
  const compiled = compile(...policies);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems));
  return compiled.engine;
}
function problemsOf(...policies: readonly string[]) {
  const compiled = compile(...policies);
  return compiled.ok ? [] : compiled.problems;
}

describe("a permit to impersonate", () => {
  test("that names both permits this pair, and nobody else anybody", () => {
    const engine = engineOf(PAIR);
    expect(engine.impersonate(impersonation())).toEqual({
      effect: "permit",
      determining: ["p0"],
      explanation:
        "Policy 'p0' permits spiffe://acme.test/agent/invoice-bot to impersonate " +
        "https://login.acme.test#alice.",
    });
    const others = [
      impersonation({ initiator: "https://login.acme.test#alice2" }),
      impersonation({ initiator: "https://login.acme.test#Alice" }),
      impersonation({ workload: "spiffe://acme.test/agent/invoice-bot/x" }),
      impersonation({ workload: "spiffe://acme.test/agent" }),
    ];
    for (const request of others) {
      expect(engine.impersonate(request)).toMatchObject({ effect: "deny", why: "no_permit" });
    }
  });

  test.for([
    ["leaves open who", `permit (principal, ${ACTION}, resource == ${ALICE})`],
    ["leaves open whom", `permit (principal == ${BOT}, ${ACTION}, resource)`],
    ["leaves open both", `permit (principal, ${ACTION}, resource)`],
    [
      "names a path of workloads",
      `permit (principal in SpiffePath::"spiffe://acme.test/agent", ${ACTION}, resource == ${ALICE})`,
    ],
    [
      "says in of a workload itself",
      `permit (principal in ${BOT}, ${ACTION}, resource == ${ALICE})`,
    ],
    [
      "says in of an initiator itself",
      `permit (principal == ${BOT}, ${ACTION}, resource in ${ALICE})`,
    ],
    ["names a kind of who", `permit (principal is Workload, ${ACTION}, resource == ${ALICE})`],
    ["names a kind of whom", `permit (principal == ${BOT}, ${ACTION}, resource is Initiator)`],
    [
      "names a kind and a path of who",
      `permit (principal is Workload in SpiffePath::"spiffe://acme.test", ${ACTION}, resource == ${ALICE})`,
    ],
    [
      "says in of the action",
      `permit (principal == ${BOT}, action in [Action::"impersonate"], resource == ${ALICE})`,
    ],
    [
      "says with like in a condition what its head leaves open",
      `permit (principal == ${BOT}, ${ACTION}, resource) when { resource.trust_root like "login*" }`,
    ],
  ] as const)("that %s is refused when it is uploaded, with what to write", ([, policy]) => {
    const [problem, ...more] = problemsOf(policy);
    expect(problem).toMatchObject({ policyId: "p0", line: 1 });
    expect(problem?.message).toContain("A permit to impersonate names");
    expect(problem?.message).toContain('resource == Initiator::"https://login.acme.test#alice"');
    expect(more).toEqual([]);
  });

  test("as wide as that, in a set that is active by some other way, has it deny everything", () => {
    const text = `@id("wide") permit (principal, ${ACTION}, resource == ${ALICE});`;
    expect(compiler.compileActive([{ name: "a.cedar", text }])).toMatchObject({ ok: false });
  });

  test("that never was admitted permits nobody even so", () => {
    const admitted = admitPolicies([{ name: "a.cedar", text: `@id("p0") ${PAIR};` }]);
    if (!admitted.ok) throw new Error(JSON.stringify(admitted.problems));
    const policy = admitted.policies[0]!;
    const text = `@id("p0") permit (principal, ${ACTION}, resource);`;
    const json = { ...policy.json, principal: { op: "All" }, resource: { op: "All" } } as const;
    const wide = createCedarPolicyEngine([{ ...policy, text, json }]);
    expect(wide.impersonate(impersonation())).toMatchObject({ effect: "deny", why: "no_permit" });
  });

  test("may have conditions, which take from it", () => {
    const root = (name: string) => engineOf(`${PAIR} when { resource.trust_root == "${name}" }`);
    expect(root("login").impersonate(impersonation()).effect).toBe("permit");
    expect(root("other").impersonate(impersonation()).effect).toBe("deny");
  });

  test("names an initiator that could exist", () => {
    const policy = `permit (principal == ${BOT}, ${ACTION}, resource == Initiator::"alice")`;
    expect(problemsOf(policy)[0]?.message).toContain("names no initiator that could exist");
  });

  test("is no permit for anything else in one policy", () => {
    const both = `permit (principal == ${BOT}, action in [Action::"issue", Action::"impersonate"], resource)`;
    expect(problemsOf(both)[0]?.message).toContain("on credentials and on impersonation");
  });
});

describe("a forbid to impersonate", () => {
  test("may be as wide as its author likes, and wins", () => {
    const wide = [
      `forbid (principal, ${ACTION}, resource)`,
      `forbid (principal, ${ACTION}, resource == ${ALICE})`,
      `forbid (principal in SpiffePath::"spiffe://acme.test", ${ACTION}, resource)`,
      `forbid (principal == ${BOT}, action, resource)`,
    ];
    for (const forbid of wide) {
      expect(engineOf(PAIR, forbid).impersonate(impersonation())).toMatchObject({
        effect: "deny",
        why: "forbidden",
        determining: ["p1"],
      });
    }
  });

  test("on credentials alone is none on it", () => {
    const forbid = `forbid (principal == ${BOT}, action == Action::"issue", resource)`;
    expect(engineOf(PAIR, forbid).impersonate(impersonation()).effect).toBe("permit");
  });
});

describe("without a permit that names exactly the pair", SLOW, () => {
  test("nothing that policies say of anything else permits it", () => {
    const heads = fc.constantFrom(
      "permit (principal, action, resource)",
      'permit (principal, action in Action::"credential", resource)',
      'permit (principal, action in Action::"administer", resource)',
      `permit (principal == ${BOT}, action, resource)`,
      `permit (principal == Workload::"spiffe://acme.test/agent/report-bot", ${ACTION}, resource == ${ALICE})`,
      `permit (principal == ${BOT}, ${ACTION}, resource == Initiator::"https://login.acme.test#carol")`,
    );
    const requests = arbitraryImpersonation.filter(
      (request) => !isNamed(request, "spiffe://acme.test/agent/report-bot"),
    );
    fc.assert(
      fc.property(
        arbitraryCedarPolicies,
        fc.array(heads, { maxLength: 6 }),
        requests,
        (some, wide, request) => {
          const texts = [
            ...some.map((policy, at) => textOfCedarPolicy(policy, `c${at}`)),
            ...wide.map((policy, at) => `@id("w${at}") ${policy};`),
          ];
          const compiled = compiler.compile([{ name: "a.cedar", text: texts.join("\n") }]);
          if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems));
          expect(compiled.engine.impersonate(request).effect).toBe("deny");
        },
      ),
      { numRuns: 60 },
    );
  });
});

const isNamed = ({ workload, initiator }: ImpersonationRequest, name: string): boolean =>
  workloadName(workload) === name && initiator === "https://login.acme.test#alice";

describe("explaining impersonation", () => {
  test("says of each policy on it what it made of the pair, and nothing of others", () => {
    const engine = engineOf(PAIR, "permit (principal, action, resource)");
    const request = impersonation({ initiator: "https://login.acme.test#bob" });
    const { verdict, policies } = engine.explainImpersonation(request);
    expect(verdict).toMatchObject({ effect: "deny", why: "no_permit" });
    expect(policies).toMatchObject([
      { id: "p0", outcome: "out_of_scope", mismatched: ["resource"] },
    ]);
  });
});
