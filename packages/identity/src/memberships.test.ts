import { describe, expect, test } from "vitest";
import { BrokerError, parseTrustRootName } from "@mayfly/spec";
import { parseOidcConfig } from "./oidc-config.ts";
import { readMemberships, type MembershipRule } from "./read-attributes.ts";
import { membershipRules } from "./verifier-parts.ts";

const rules = (of: readonly string[], claim = "groups"): readonly MembershipRule[] =>
  membershipRules({ groups: { claim, of, stability: "immutable" } });
const namesOf = (claims: Record<string, unknown>, of: readonly string[], claim?: string) =>
  Object.keys(readMemberships(claims, rules(of, claim)));

describe("memberships", () => {
  test("take of a list the values that count, each as an attribute", () => {
    expect(readMemberships({ groups: ["everybody", "platform"] }, rules(["platform"]))).toEqual({
      "groups:platform": { value: "true", stability: "immutable" },
    });
    expect(namesOf({ groups: "platform" }, ["platform", "security"])).toEqual(["groups:platform"]);
    expect(namesOf({ r: { roles: ["a"] } }, ["a"], "r.roles")).toEqual(["groups:a"]);
  });

  test.each([
    ["no claim", {}],
    ["an object", { groups: { platform: true } }],
    ["a list in a list", { groups: [["platform"]] }],
    ["a longer name", { groups: ["platform-interns", "Platform"] }],
    ["a list as one text", { groups: "platform,security" }],
    ["a number", { groups: 1 }],
  ])("hold nothing where the claim is %s", (_what, claims) => {
    expect(namesOf(claims, ["platform"])).toEqual([]);
  });

  test("are bounded, and a root that counts tokens once has no administrators", () => {
    const parse = (members: object): unknown =>
      parseOidcConfig(parseTrustRootName("login", "name"), "https://mayfly.test", {
        issuer: "https://login.test",
        ...members,
      });
    const of = Array.from({ length: 65 }, (_, n) => `group-${n}`);
    const many = { memberships: { groups: { claim: "groups", of, stability: "immutable" } } };
    for (const members of [many, { administrators: true, one_time_tokens: true }]) {
      expect(() => parse(members)).toThrow(BrokerError);
    }
    expect(parse({})).not.toHaveProperty("administrators");
  });
});
