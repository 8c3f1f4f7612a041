import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { createPolicyCompiler, parsePolicyTests, runPolicyTests } from "./index.ts";
import { accessRequest } from "@mayfly/testkit";

const POLICIES = `
@id("invoice-bots-read-orders")
@description("Invoice agents may read orders while their task runs.")
permit (
  principal == Workload::"spiffe://acme.test/agent/invoice-bot",
  action == Action::"issue",
  resource == Role::"orders-db/reader"
) when { context.task.deadline_seconds <= 1800 };

@id("own-team-only")
forbid (principal, action, resource in Backend::"orders-db")
unless { principal.hasTag("team") && principal.getTag("team") == "payments" };
`;
const compiled = createPolicyCompiler().compile([{ name: "invoices.cedar", text: POLICIES }]);
if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems));
const { engine } = compiled;
const { role } = accessRequest();
const catalogue = new Map([
  [role.name, { role, ttlSecondsMax: 1_800, grant: { member_of: "app_reader" } }],
]);
const run = (yaml: string) => runPolicyTests(engine, parsePolicyTests(parse(yaml)), catalogue);

describe("policy tests", () => {
  test("pass where the verdict is as written", () => {
    const results = run(`
- name: the invoice bot reads orders
  workload: spiffe://acme.test/agent/invoice-bot
  attributes: { team: payments }
  issue: orders-db/reader
  task: { deadline: 15m }
  expect: permit
  because: [invoice-bots-read-orders]
- name: not for a whole day
  workload: spiffe://acme.test/agent/invoice-bot
  attributes: { team: payments }
  issue: orders-db/reader
  task: { deadline: 1d }
  expect: deny
  because: []
- name: not a team that can be renamed
  workload: spiffe://acme.test/agent/invoice-bot
  attributes: { mutable.team: payments }
  issue: orders-db/reader
  expect: deny
  because: [own-team-only]
- name: nobody renews
  workload: https://ci.test#repo:acme/orders
  attributes: { team: payments }
  renew: orders-db/reader
  role_facts: { environment: test, data_class: public }
  expect: deny
`);
    expect(results.flatMap((result) => result.differences)).toEqual([]);
    expect(results.map((result) => result.passed)).toEqual([true, true, true, true]);
  });

  test("say what differs where it is not", () => {
    const results = run(`
- name: expected too much
  workload: spiffe://acme.test/agent/other
  attributes: { team: payments }
  issue: orders-db/reader
  expect: permit
  because: [invoice-bots-read-orders, no-such-policy]
- name: for another reason
  workload: spiffe://acme.test/agent/other
  issue: orders-db/reader
  expect: deny
  because: []
- name: unknown role
  workload: spiffe://acme.test/agent/other
  issue: orders-db/owner
  expect: deny
`);
    expect(results.map((result) => result.passed)).toEqual([false, false, false]);
    expect(results.map((result) => result.differences)).toEqual([
      [
        "Expected permit, got deny: No policy permits orders-db/reader for spiffe://acme.test/agent/other.",
        "Policy 'invoice-bots-read-orders' was expected to determine the verdict and did not.",
        "Policy 'no-such-policy' was expected to determine the verdict; there is no such policy.",
      ],
      ["Policy 'own-team-only' determined the verdict and was not expected to."],
      ["There is no role orders-db/owner: add it, or name one of orders-db/reader."],
    ]);
  });

  const base = { name: "x", workload: "spiffe://a.test/b", issue: "a/b", expect: "deny" };
  test.for<readonly [string, unknown]>([
    ["policy tests: ", { tests: [] }],
    ['[0]: Unrecognized key: "expct"', [{ ...base, expct: "deny" }]],
    ['[0].task: Unrecognized key: "dedline"', [{ ...base, task: { dedline: 1 } }]],
    ["[0].task.deadline: expected seconds, or", [{ ...base, task: { deadline: "soon" } }]],
    ['[0]: give one of "issue" or "renew"', [{ ...base, renew: "a/b" }]],
    ["[0].issue: expected a role name", [{ ...base, issue: "reader" }]],
    ["[0].workload: expected a SPIFFE ID", [{ ...base, workload: "bot" }]],
    ["[0].because[0]: expected a policy id", [{ ...base, because: ["a b"] }]],
    ['[1].name: two tests are called "x"', [base, base]],
    [
      "[0].attributes: an attribute is given",
      [{ ...base, attributes: { a: "1", "mutable.a": "2" } }],
    ],
  ])("that are ill-formed are refused: %s", ([message, value]) => {
    expect(() => parsePolicyTests(value)).toThrow(message);
  });
});

describe("explain", () => {
  test("says of each policy whether it applies, and what keeps it from applying", () => {
    const request = accessRequest({ task: { deadlineSeconds: 3_600 } });
    const { verdict, policies } = engine.explain(request);
    expect(verdict).toEqual(engine.decide(request));
    expect(policies).toMatchObject([
      {
        id: "invoice-bots-read-orders",
        effect: "permit",
        source: "invoices.cedar",
        line: 2,
        outcome: "condition_failed",
        failed: ["when { context.task.deadline_seconds <= 1800 }"],
      },
      { id: "own-team-only", outcome: "applies", mismatched: [], failed: [] },
    ]);
  });

  test("names the parts of a scope that do not match", () => {
    const request = accessRequest({ workload: "spiffe://acme.test/other", action: "renew" });
    expect(engine.explain(request).policies[0]).toMatchObject({
      outcome: "out_of_scope",
      mismatched: ["principal", "action"],
    });
  });

  test("quotes Cedar where an evaluation fails, and judges no malformed request", () => {
    const text = `@id("a") permit (principal, action, resource)
      when { context.ttl_seconds * 9007199254740991 * 9007199254740991 > 0 };`;
    const broken = createPolicyCompiler().compile([{ name: "a", text }]);
    if (!broken.ok) throw new Error("refused");
    const [outcome] = broken.engine.explain(accessRequest()).policies;
    expect(outcome).toMatchObject({ outcome: "error" });
    expect(outcome?.error).toContain("integer overflow");
    expect(engine.explain(accessRequest({ ttlSeconds: 0.5 }))).toMatchObject({
      verdict: { why: "invalid_request" },
      policies: [],
    });
  });
});

describe("tests of administration", () => {
  const text = `
@id("platform-registers")
permit (principal, action in Action::"manage", resource in Catalog::"catalog")
when { principal.hasTag("groups:platform") };
@id("prod-is-frozen")
forbid (principal, action == Action::"register", resource is Role)
when { resource.environment == "prod" };
@id("nobody-makes-administrators")
forbid (principal, action in Action::"manage", resource is TrustRoot)
when { resource.administrators };
@id("own-agents-only")
permit (principal, action in Action::"stop", resource)
when { resource is Task && resource.workload like "spiffe://acme.test/*" };
`;
  const administration = createPolicyCompiler().compile([{ name: "a.cedar", text }]);
  if (!administration.ok) throw new Error(JSON.stringify(administration.problems));
  const judge = (yaml: string) =>
    runPolicyTests(administration.engine, parsePolicyTests(parse(yaml)), catalogue);
  const paula = `workload: https://login.acme.test#paula
  attributes: { "groups:platform": "true" }`;

  test("ask of what is named, with the facts of the test or the catalogue's", () => {
    const results = judge(`
- name: the platform team registers backends
  ${paula}
  administer: register
  on: backend orders-db
  expect: permit
  because: [platform-registers]
- name: the catalogue says that this role is of production
  ${paula}
  administer: register
  on: role orders-db/reader
  expect: deny
  because: [prod-is-frozen]
- name: in test it is free
  ${paula}
  administer: register
  on: role orders-db/reader
  facts: { environment: test }
  expect: permit
- name: who may log in as an administrator is not theirs to say
  ${paula}
  administer: register
  on: trust login
  facts: { kind: oidc, administrators: true }
  expect: deny
  because: [nobody-makes-administrators]
- name: anybody stops a task of our domain, whoever asks
  workload: https://login.acme.test#simon
  administer: kill
  on: task
  facts: { workload: "spiffe://acme.test/agent/bot" }
  expect: permit
- name: nobody reads what nobody permits
  ${paula}
  administer: read
  on: ledger
  expect: deny
  because: []
`);
    expect(results.flatMap((result) => result.differences)).toEqual([]);
    expect(results).toHaveLength(6);
  });

  test.each([
    [{ on: "backend" }, "[0].on: expected a backend name"],
    [{ on: "orders-db" }, "[0].on: expected catalog, ledger"],
    [{ on: "ledger main" }, "[0].on: there is one ledger"],
    [{}, "[0].on: say on what"],
    [{ on: "ledger", facts: { a: 1 } }, "[0].facts"],
    [{ on: "role a/b", facts: { data_class: "secret" } }, "[0].facts.data_class"],
    [{ on: "ledger", issue: "a/b" }, "[0]: give one of"],
    [{ on: "ledger", ttl: "5m" }, "[0].ttl: is for tests of issue"],
  ])("that are ill-formed are refused: %j", (change, message) => {
    const base = { name: "x", workload: "https://a.test#b", expect: "deny", administer: "read" };
    expect(() => parsePolicyTests([{ ...base, ...change }])).toThrow(message);
  });

  test("explaining takes each policy apart, and leaves those on credentials out", () => {
    const [of] = parsePolicyTests([
      {
        name: "x",
        workload: "https://login.acme.test#paula",
        administer: "register",
        on: "role a/b",
        expect: "deny",
      },
    ]);
    if (of?.about !== "administration") throw new Error("not of administration");
    const { policies } = administration.engine.explainAdministration(of);
    expect(policies.map(({ id, outcome }) => [id, outcome])).toEqual([
      ["nobody-makes-administrators", "out_of_scope"],
      ["own-agents-only", "out_of_scope"],
      ["platform-registers", "condition_failed"],
      ["prod-is-frozen", "condition_failed"],
    ]);
    expect(engine.explainAdministration(of).policies).toEqual([]);
  });
});

describe("policies on administration", () => {
  const problemsOf = (text: string) => {
    const answer = createPolicyCompiler().compile([{ name: "a.cedar", text }]);
    return answer.ok ? [] : answer.problems.map(({ message }) => message);
  };
  test.each([
    [
      "both sides",
      'permit (principal, action in [Action::"issue", Action::"read"], resource);',
      "a policy for each",
    ],
    ["an unknown action", 'permit (principal, action == Action::"own", resource);', "own"],
    [
      "the context",
      'permit (principal, action == Action::"read", resource) when { context.ttl_seconds < 1 };',
      "ttl",
    ],
    [
      "another ledger",
      'permit (principal, action == Action::"read", resource == Ledger::"x");',
      "there is one",
    ],
    [
      "a group where an action stands",
      'permit (principal, action == Action::"manage", resource);',
      "",
    ],
    [
      "a mismatched resource",
      'permit (principal, action == Action::"kill", resource is Backend);',
      "",
    ],
    [
      "an unguarded tag",
      'permit (principal, action == Action::"read", resource) when { principal.getTag("a") == "b" };',
      "",
    ],
    [
      "a negated test",
      'permit (principal, action == Action::"read", resource) unless { principal.hasTag("a") };',
      "under no negation",
    ],
    [
      "a state that is none",
      'forbid (principal, action == Action::"end", resource is Task) when { resource.state == "dead" };',
      "never",
    ],
    [
      "a lease's workload unguarded",
      'permit (principal, action == Action::"end", resource is Lease) when { resource.workload == "x" };',
      "",
    ],
  ])("are refused that name %s", (_what, text, word) => {
    const problems = problemsOf(`@id("p") ${text}`);
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.join(" ")).toContain(word);
  });

  test("and one that guards a lease's workload is admitted", () => {
    expect(
      problemsOf(`@id("p") permit (principal, action == Action::"end", resource is Lease)
        when { resource has workload && resource.workload == "x" };`),
    ).toEqual([]);
  });
});
