import { expect, test } from "vitest";
import { namedObjects } from "./named-objects.ts";

test("what policies name that has to be registered is found in scopes, conditions and sets", () => {
  const a = `@id("a") forbid (principal, action == Action::"issue", resource == Role::"db/reader");
@id("b") forbid (principal, action == Action::"issue", resource in Backend::"db")
when { ["acme.test", "ci"].contains(principal.trust_root) };`;
  const b = `@id("c") permit (principal == Workload::"spiffe://a.test/b", action == Action::"issue",
  resource) when { resource == Role::"db/writer" && principal.trust_root == "acme.test" };`;
  const found = namedObjects([
    { name: "a.cedar", text: a },
    { name: "b.cedar", text: b },
  ]);
  expect(found.map(({ source, kind, name }) => `${source} ${kind} ${name}`).toSorted()).toEqual([
    "a.cedar backend db",
    "a.cedar role db/reader",
    "a.cedar trust acme.test",
    "a.cedar trust ci",
    "b.cedar role db/writer",
    "b.cedar trust acme.test",
  ]);
});

test("of policies that do not compile nothing is said", () => {
  expect(namedObjects([{ name: "a.cedar", text: "permit (" }])).toEqual([]);
});
