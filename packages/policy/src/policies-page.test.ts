import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { ADMINISTRATIVE_ACTIONS } from "@mayfly/spec";
import {
  ADMINISTRATION_SCHEMA,
  createPolicyCompiler,
  IMPERSONATION_SCHEMA,
  parsePolicyTests,
  POLICY_SCHEMA,
  runPolicyTests,
} from "./index.ts";

const textOf = (name: string): string =>
  readFileSync(new URL(`../../../docs/${name}.md`, import.meta.url), "utf8");
const page = textOf("policies");
const blocks = (language: string, of = page): readonly string[] =>
  [...of.matchAll(/^```([^\n]*)\n([^]*?)^```$/gmu)]
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
    expect(blocks("yaml").map((text) => parsePolicyTests(parse(text)).length)).toEqual([2, 1, 1]);
  });

  test("tells of every fact that the schema has", () => {
    const schemas = POLICY_SCHEMA + ADMINISTRATION_SCHEMA + IMPERSONATION_SCHEMA;
    const facts = [...schemas.matchAll(/^ {2}"(\w+)"\??:/gmu)].map((match) => match[1] ?? "");
    expect(facts.length).toBeGreaterThan(15);
    expect(facts.filter((fact) => !page.includes(fact))).toEqual([]);
    const actions = ADMINISTRATIVE_ACTIONS.filter((action) => !page.includes(`\`${action}\``));
    expect(actions).toEqual([]);
  });

  test("shows a pair that may be impersonated, and no other that may", () => {
    const compiled = compile(blocks("cedar").join("\n"));
    if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems));
    const [, , shown] = blocks("yaml");
    const tests = parsePolicyTests(parse(shown ?? ""));
    const alice = parsePolicyTests([
      {
        name: "alice",
        workload: "spiffe://acme.test/agent/invoice-bot",
        impersonate: "https://login.acme.test#alice",
        expect: "permit",
        because: ["invoice-bot-as-alice"],
      },
    ]);
    const results = runPolicyTests(compiled.engine, [...tests, ...alice], new Map());
    expect(results.map(({ differences }) => differences)).toEqual([[], []]);
  });
});

test("docs/administration.md shows policies that compile together, and tests that they pass", () => {
  const administration = textOf("administration");
  const compiled = compile(blocks("cedar", administration).join("\n"));
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems));
  const [, shown] = blocks("yaml", administration);
  const results = runPolicyTests(compiled.engine, parsePolicyTests(parse(shown ?? "")), new Map());
  expect(results.map(({ differences }) => differences)).toEqual([[], []]);
});
