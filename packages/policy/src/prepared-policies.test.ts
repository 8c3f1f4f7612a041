import { expect, test } from "vitest";
import { accessRequest } from "@mayfly/testkit";
import { createPolicyCompiler } from "./compile.ts";
import { heldPolicies, PREPARED_POLICIES_MAX, preparedName } from "./prepared-policies.ts";

const set = (count: number, text = "permit (principal, action, resource);") => ({
  policies: { one: text },
  count,
});

test("a set keeps its name while it is in use, and names are used again", () => {
  const third = PREPARED_POLICIES_MAX / 3;
  const sets = Array.from({ length: 12 }, () => set(third));
  const names = sets.map((one) => preparedName(one));
  expect(new Set(names).size).toBeLessThan(names.length);
  expect(preparedName(sets[11]!)).toBe(names[11]);
  expect(heldPolicies().policies).toBeLessThanOrEqual(PREPARED_POLICIES_MAX);
});

test("an engine whose policies were pushed out decides as before", () => {
  const text = '@id("a") permit (principal, action, resource);';
  const compiled = createPolicyCompiler().compile([{ name: "a", text }]);
  if (!compiled.ok) throw new Error("refused");
  const before = compiled.engine.decide(accessRequest());
  expect(before.effect).toBe("permit");
  for (let round = 0; round < 3; round += 1) {
    preparedName(set(PREPARED_POLICIES_MAX, "forbid (principal, action, resource);"));
    expect(heldPolicies().sets).toBe(1);
    // One that it does not remember.
    const request = accessRequest({ roleFacts: { environment: `test${round}` } });
    expect(compiled.engine.decide(request)).toEqual(before);
    expect(heldPolicies().sets).toBe(1);
  }
});

test("a set that Cedar cannot read throws and leaves nothing held", () => {
  const before = heldPolicies();
  expect(() => preparedName(set(1, "permit (principal"))).toThrow("Cedar cannot read");
  expect(heldPolicies()).toEqual(before);
});
