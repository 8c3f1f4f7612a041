import { describe, expect, test } from "vitest";
import { parseTrustRootName, type AccessRequest } from "@mayfly/spec";
import { accessRequest } from "@mayfly/testkit";
import { createPolicyCompiler, grantLines } from "./index.ts";

function permits(condition: string, request: AccessRequest): boolean {
  const text = `@id("a") permit (principal, action, resource) when { ${condition} };`;
  const compiled = createPolicyCompiler().compile([{ name: "a", text }]);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems));
  return compiled.engine.decide(request).effect === "permit";
}
const anything = (request: AccessRequest) => {
  const text = '@id("a") permit (principal, action, resource);';
  const compiled = createPolicyCompiler().compile([{ name: "a", text }]);
  return compiled.ok ? compiled.engine.decide(request) : null;
};
const immutable = (value: string) => ({ value, stability: "immutable" }) as const;

describe("what a policy may ask", () => {
  const request = accessRequest({
    attributes: { team: immutable("payments"), repository: { value: "a/b", stability: "mutable" } },
    task: { depth: 1, targets: ["orders-db:orders"], verifiedInitiator: "alice@acme.test" },
    actorChain: ["spiffe://acme.test/agent/parent"],
    grant: { member_of: ["app_reader", "audit"], limits: { "rows.max": 10 }, read_only: true },
  });
  test.for([
    'principal == Workload::"spiffe://acme.test/agent/invoice-bot"',
    'principal.issuer == "spiffe://acme.test" && principal.trust_root == "acme.test"',
    'principal.kind == "spiffe" && principal.subject like "*/invoice-bot"',
    'principal.hasTag("team") && principal.getTag("team") == "payments"',
    'principal.hasTag("mutable.repository") && principal.getTag("mutable.repository") == "a/b"',
    'action == Action::"issue" && action in Action::"credential"',
    'resource == Role::"orders-db/reader" && resource in Backend::"orders-db"',
    'resource.backend == Backend::"orders-db" && resource.backend.type == "postgres"',
    'resource.backend_type == "postgres" && resource.data_class == "confidential"',
    'resource.reversibility == "read_only" && resource.environment == "prod"',
    "context.task.deadline_seconds == 900 && context.task.idle_timeout_seconds == 60",
    'context.task.depth == 1 && context.task.targets == ["orders-db:orders"]',
    'context.task has initiator && context.task.initiator == "alice@acme.test"',
    'context.ttl_seconds == 900 && context.actors.contains("spiffe://acme.test/agent/parent")',
    'context.grant.containsAll(["member_of=app_reader", "member_of=audit", "read_only=true"])',
    String.raw`context.grant.contains("limits.rows\\.max=10")`,
  ])("%s", (condition) => {
    expect(permits(condition, request)).toBe(true);
  });

  test("a mutable attribute is not there under its plain name", () => {
    expect(permits('principal.hasTag("repository")', request)).toBe(false);
  });

  test("an OIDC workload is named by issuer and subject", () => {
    const oidc: AccessRequest = {
      ...accessRequest(),
      workload: {
        kind: "oidc",
        trustRoot: parseTrustRootName("ci", "trust"),
        issuer: "https://ci.test",
        subject: "repo:a",
        attributes: {},
      },
    };
    expect(permits('principal == Workload::"https://ci.test#repo:a"', oidc)).toBe(true);
  });

  test.for(["__proto__", "__entity", "__extn", "constructor", 'a"b'])(
    "an attribute may be called %s",
    (name) => {
      const attributes = Object.fromEntries([[name, immutable("x")]]);
      const key = JSON.stringify(name);
      const condition = `principal.hasTag(${key}) && principal.getTag(${key}) == "x"`;
      expect(permits(condition, accessRequest({ attributes }))).toBe(true);
    },
  );
});

describe("what cannot be stated exactly is an invalid request", () => {
  const many = <T>(count: number, of: (at: number) => T): T[] =>
    Array.from({ length: count }, (_, at) => of(at));
  test.for<readonly [string, AccessRequest]>([
    ["begins with", accessRequest({ attributes: { "mutable.team": immutable("x") } })],
    ["well-formed Unicode", accessRequest({ attributes: { team: immutable("\uD800") } })],
    ["well-formed Unicode", accessRequest({ grant: { a: "\uDFFF" } })],
    ["longer than 4096", accessRequest({ attributes: { team: immutable("x".repeat(5_000)) } })],
    ["targets has more than 256", accessRequest({ task: { targets: many(257, String) } })],
    ["actor chain has more than 64", accessRequest({ actorChain: many(65, String) })],
    [
      "more than 128 attributes",
      accessRequest({
        attributes: Object.fromEntries(many(129, (at) => [`a${at}`, immutable("x")])),
      }),
    ],
    ["more than 4096 values", accessRequest({ grant: { a: many(4_097, String) } })],
    ["a number that JSON", accessRequest({ grant: { a: Number.NaN } })],
  ])("%s", ([message, request]) => {
    const verdict = anything(request);
    expect(verdict).toMatchObject({ effect: "deny", why: "invalid_request" });
    expect(verdict?.explanation).toContain(message);
  });
});

describe("a grant as lines", () => {
  test("has one line for each value, sorted, and escapes what would be ambiguous", () => {
    const lines = grantLines({
      z: [],
      y: {},
      b: [{ c: 1 }, { c: 2 }, [3]],
      "a.b": "x=y",
      a: { b: "x=y" },
      "k=": null,
      "s\\": -1.5,
    });
    const expected = [
      "a.b=x=y",
      String.raw`a\.b=x=y`,
      "b.c=1",
      "b.c=2",
      "b=3",
      String.raw`k\==null`,
      String.raw`s\\=-1.5`,
      "y={}",
      "z=[]",
    ];
    expect(lines).toEqual(expected.toSorted());
    expect(grantLines({})).toEqual([]);
  });
});
