import { instantMs, InvalidInput, parseInstallationId, type IssuePlan } from "@mayfly/spec";
import { freshLeaseId } from "@mayfly/testkit/contract";
import { expect, test } from "vitest";
import { leases } from "./role-settings.ts";

const installation = parseInstallationId("testaaaa", "installation");
const planOf = (token: object, params: object): IssuePlan =>
  leases.plan({
    installation,
    leaseId: freshLeaseId(),
    expiresAt: instantMs(1_800_000_000_000),
    role: leases.parseRole({ token }),
    params: leases.parseParams(params),
    holder: { subject: "somebody", actors: [], confirmation: null },
  });
const policies = ["no-payroll", "orders", "stock"];

test("a request leaves out no policy that may deny, unless its role says so of that one", () => {
  const withoutWord = () => planOf({ policies }, { policies: ["orders", "stock"] });
  expect(withoutWord).toThrow(InvalidInput);
  expect(withoutWord).toThrow('"no-payroll" is not one of the role\'s `optional`');
  const role = { policies, optional: ["stock"] };
  expect(() => planOf(role, { policies: ["no-payroll", "stock"] })).toThrow('"orders"');
  const narrow = planOf(role, { policies: ["no-payroll", "orders"] });
  expect(narrow.grant).toMatchObject({ policies: ["no-payroll", "orders"] });
});

test("nor does a child task's credential, of whichever role", () => {
  const wide = planOf({ policies, optional: ["stock"] }, {});
  const without = (missing: string) =>
    planOf({ policies: policies.filter((each) => each !== missing) }, {});
  expect(leases.isWithin(without("stock"), wide)).toBe(true);
  expect(leases.isWithin(without("no-payroll"), wide)).toBe(false);
  expect(leases.isWithin(wide, planOf({ policies }, {}))).toBe(true);
});

test("what is optional is one of the role's policies", () => {
  expect(() => leases.parseRole({ token: { policies, optional: ["others"] } })).toThrow(
    "role.token.optional",
  );
});

test("a grant that was recorded before roles had the word names all of its policies for good", () => {
  const { grant, ...plan } = planOf({ policies }, {});
  expect(Object.keys(grant)).not.toContain("optional");
  expect(leases.isWithin(planOf({ policies: ["orders"] }, {}), { ...plan, grant })).toBe(false);
});
