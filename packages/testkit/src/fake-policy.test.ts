import { expect, test } from "vitest";
import { describePolicyContract } from "./contract/policy-contract.ts";
import { createFakePolicyEngine } from "./fake-policy.ts";

describePolicyContract({ name: "fake", engineOf: createFakePolicyEngine });

test("the fake refuses an id that is given twice", () => {
  const rule = { id: "a", effect: "permit" } as const;
  expect(() => createFakePolicyEngine([rule, rule])).toThrow("the same id twice");
});
