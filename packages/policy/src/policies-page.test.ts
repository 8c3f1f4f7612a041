import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { createPolicyCompiler, parsePolicyTests, POLICY_SCHEMA } from "./index.ts";

const page = readFileSync(new URL("../../../docs/policies.md", import.meta.url), "utf8");
const blocks = (language: string): readonly string[] =>
  [...page.matchAll(/^```([^\n]*)\n([^]*?)^```$/gmu)]
    .filter((match) => match[1] === language)
    .map((match) => match[2] ?? "");
const compile = (text: string) => createPolicyCompiler().compile([{ name: "page", text }]);

describe("docs/policies.md", () => {
  test("shows policies that all compile together", () => {
    expect(blocks("cedar").length).toBeGreaterThan(2);
    expect(compile(blocks("cedar").join("\n"))).toMatchObject({ ok: true });
  });

  test("shows a refused policy that is refused", () => {
    const [refused, ...more] = blocks("cedar refused");
    expect(more).toEqual([]);
    expect(compile(refused ?? "")).toMatchObject({
      ok: false,
      problems: [{ policyId: "not-marketing" }],
    });
  });

  test("shows policy tests that parse", () => {
    expect(blocks("yaml").map((text) => parsePolicyTests(parse(text)).length)).toEqual([2]);
  });

  test("tells of every fact that the schema has", () => {
    const facts = [...POLICY_SCHEMA.matchAll(/^ {2}"(\w+)"\??:/gmu)].map((match) => match[1] ?? "");
    expect(facts.length).toBeGreaterThan(15);
    expect(facts.filter((fact) => !page.includes(fact))).toEqual([]);
  });
});
