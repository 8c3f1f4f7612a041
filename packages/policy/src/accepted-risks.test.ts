import { RISK_MEMBER } from "@mayfly/spec";
import { accessRequest } from "@mayfly/testkit";
import { expect, test } from "vitest";
import { createPolicyCompiler } from "./index.ts";

const RISK = "secret_outlives_the_lease";
const text = (id: string, more = ""): string =>
  `@id("${id}")\n${more}permit (principal, action, resource);\n`;
const accepts = (word: string): string => `@accepts("${word}")\n`;
const compile = (...policies: readonly string[]) =>
  createPolicyCompiler().compile([{ name: "a.cedar", text: policies.join("\n") }]);
function decide(policies: readonly string[], grant: Readonly<Record<string, string>>) {
  const compiled = compile(...policies);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems));
  const request = accessRequest();
  return compiled.engine.decide({ ...request, plan: { ...request.plan, grant } });
}

test("a grant with a risk is permitted only by a policy that accepts it by its word", () => {
  const risky = { [RISK_MEMBER]: RISK };
  const broad = text("broad");
  expect(decide([broad], {})).toMatchObject({ effect: "permit" });
  expect(decide([broad], risky)).toMatchObject({
    effect: "deny",
    why: "no_permit",
    determining: [],
    explanation: expect.stringContaining(`@accepts("${RISK}")`) as string,
  });
  const other = text("other", accepts("something_else"));
  expect(decide([broad, other], risky).effect).toBe("deny");
  const accepting = text("accepting", accepts(RISK));
  expect(decide([broad, accepting], risky)).toMatchObject({
    effect: "permit",
    determining: ["accepting"],
  });
});

test("an acceptance outweighs no forbid, and permits nothing where there is no risk to accept", () => {
  const risky = { [RISK_MEMBER]: RISK };
  const forbid = '@id("never")\nforbid (principal, action, resource);\n';
  const accepting = text("accepting", accepts(RISK));
  expect(decide([accepting, forbid], risky)).toMatchObject({ why: "forbidden" });
  expect(decide([accepting], {}).effect).toBe("permit");
});

test("the same facts with and without a risk are never answered from one memory", () => {
  const compiled = compile(text("broad"));
  if (!compiled.ok) throw new Error("it does not compile");
  const { plan, ...rest } = accessRequest();
  const at = (grant: Readonly<Record<string, string>>): string =>
    compiled.engine.decide({ ...rest, plan: { ...plan, grant } }).effect;
  const risky = { [RISK_MEMBER]: RISK };
  expect([at({}), at(risky), at({}), at(risky)]).toEqual(["permit", "deny", "permit", "deny"]);
});

test("a forbid accepts nothing, and a risk is named by one word", () => {
  const forbid = `@id("never")\n${accepts(RISK)}forbid (principal, action, resource);\n`;
  for (const policy of [forbid, text("a", accepts("Two words"))]) {
    const compiled = compile(policy);
    expect(compiled.ok ? [] : compiled.problems.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^@accepts/),
    ]);
  }
});
