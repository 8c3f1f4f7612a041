import { describe, expect, test } from "vitest";
import { createPolicyCompiler } from "./index.ts";

const compiler = createPolicyCompiler();

function warningsOf(
  condition: string,
  scope = 'principal, action in Action::"credential", resource',
) {
  const text = `\n@id("a") permit (${scope})\nwhen { ${condition} };`;
  const compiled = compiler.compile([{ name: "a.cedar", text }]);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems));
  return compiled.warnings;
}
const like = (pattern: string): string => `principal.subject like ${JSON.stringify(pattern)}`;

describe("a like on a SPIFFE ID", () => {
  test.each([
    ["spiffe://acme.test/ns/*/sa/x", '["segments=4","1=ns","3=sa","4=x"]'],
    ["spiffe://acme.test/*/x", '["segments=2","2=x"]'],
    ["spiffe://acme.test/ns/pay*", 'SpiffePath::"spiffe://acme.test/ns"'],
    ["spiffe://acme.test/ns/*/x-*", 'SpiffePath::"spiffe://acme.test/ns"'],
    ["spiffe://acme.test*", "SpiffePath::"],
    ["spiffe://*/ns/a", "SpiffePath::"],
    ["*/agent/bot", "SpiffePath::"],
    ["sp*", "SpiffePath::"],
    ["*", "SpiffePath::"],
  ])("that may match across segments is warned of, and told what to write: %s", (pattern, says) => {
    const [warning, ...more] = warningsOf(like(pattern));
    expect(more).toEqual([]);
    expect(warning).toMatchObject({ source: "a.cedar", policyId: "a", line: 2 });
    expect(warning?.message).toContain(JSON.stringify(pattern));
    expect(warning?.message).toContain(says);
  });

  test.each([
    "spiffe://acme.test/*",
    "spiffe://acme.test/ns/payments/*",
    "spiffe://acme.test/ns/payments",
    "repo:acme/*",
    "https://login.acme.test#*",
    "*@acme.test",
    "system:serviceaccount:*",
  ])("of whole segments, or on what is no SPIFFE ID, is not: %s", (pattern) => {
    expect(warningsOf(like(pattern))).toEqual([]);
  });

  test("is found in what is nested, in other facts that may be one, and once for each pattern", () => {
    const twice = `!(${like("spiffe://a/x*")}) && ${like("spiffe://a/x*")} || ${like("spiffe://a/y*")}`;
    expect(warningsOf(twice)).toHaveLength(2);
    const initiator =
      'context.task has initiator && context.task.initiator like "spiffe://acme.test/a*"';
    expect(warningsOf(initiator)).toHaveLength(1);
    const task = 'principal, action == Action::"end", resource is Task';
    expect(warningsOf('resource.workload like "spiffe://acme.test/a*"', task)).toHaveLength(1);
    expect(warningsOf('resource.state like "a*"', task)).toEqual([]);
  });

  test("what is advised compiles without a warning", () => {
    for (const pattern of ["spiffe://acme.test/ns/*/sa/x", "spiffe://acme.test/ns/pay*"]) {
      const [warning] = warningsOf(like(pattern));
      const advice = /Write (?<condition>.+?)(?: for all below a path.*|\.)$/.exec(
        warning?.message ?? "",
      );
      expect(warningsOf(advice?.groups?.["condition"] ?? "")).toEqual([]);
    }
  });
});
