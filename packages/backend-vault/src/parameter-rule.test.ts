import { describe, expect, test } from "vitest";
import { chooseParameters } from "./parameter-rule.ts";

const rules = {
  format: { fixed: "pem" },
  size: { one_of: ["small", 2] },
  name: { like: "*.agents.test" },
};
const right = { size: "small", name: "bee.agents.test" };
const chosen = (asked: Record<string, string | number | boolean | string[]>) =>
  chooseParameters(rules, asked);

describe("what an engine is sent", () => {
  test("is what the role fixes and what the request chooses, in full", () => {
    expect(chosen(right)).toEqual({ values: { format: "pem", ...right } });
    expect(chosen({ ...right, format: "pem" })).toEqual({ values: { format: "pem", ...right } });
  });

  test.each([
    ["size", {}],
    ["name", { size: "small" }],
    ["format", { ...right, format: "der" }],
    ["format", { ...right, format: ["pem"] }],
    ["size", { ...right, size: "2" }],
    ["size", { ...right, size: "large" }],
    ["other", { ...right, other: 1 }],
    ["constructor", { ...right, constructor: 1 }],
    ["name", { ...right, name: ["bee.agents.test"] }],
  ])("is nothing where %s is not what the role leaves open: %j", (beyond, asked) => {
    expect(chosen(asked)).toEqual({ beyond });
  });

  test.each([
    ".agents.test",
    "agents.test",
    "bee.agents.test.evil.test",
    "a.b.agents.test",
    "a,evil.test,b.agents.test",
    "*.agents.test",
    "bee agents.test",
    "b\n.agents.test",
    `${"b".repeat(64)}.agents.test`,
  ])("is nothing for a name that is not of the form: %j", (name) => {
    expect(chosen({ ...right, name })).toEqual({ beyond: "name" });
  });
});
