import { describe, expect, test } from "vitest";
import { parseTrustRootName, type TrustRootFacts } from "@mayfly/spec";
import { vendorClaims } from "@mayfly/testkit";
import { describeTrust } from "./describe-trust.ts";
import { presetNames, presets } from "./presets/presets.ts";

const NAME = parseTrustRootName("root", "name");
const BROKER = "https://broker.test";
const of = (config: Readonly<Record<string, unknown>>): TrustRootFacts =>
  describeTrust(NAME, "oidc", config, BROKER);

describe("what a trust root means", () => {
  test.each(presetNames)("with preset %s has its attributes and traps", (preset) => {
    const issuer = vendorClaims(0)[preset].iss;
    const domain = presets[preset].trustDomain ? { trust_domain: "acme.test" } : {};
    const facts = of({ preset, issuer, ...domain });
    expect(facts).toMatchObject({ issuer, audience: BROKER, traps: presets[preset].traps });
    expect(facts.attributes.map(({ name }) => name)).toEqual(
      Object.keys(presets[preset].attributes),
    );
    expect(facts.trustDomain).toBe(presets[preset].trustDomain ? "acme.test" : null);
  });

  test("says what is required of a token, and what weakens it", () => {
    const facts = of({
      preset: "entra",
      issuer: vendorClaims(0).entra.iss,
      audience: "api",
      initiators: true,
      unsafe_allow_other_audiences: true,
      memberships: { groups: { claim: "groups", of: ["a"], stability: "mutable" } },
    });
    expect(facts.audience).toBe("api");
    expect(facts.requirements).toContain("scp is absent");
    expect(facts.requirements.some((each) => each.startsWith("tid is "))).toBe(true);
    expect(facts.traps.length).toBe(presets.entra.traps.length + 2);
    expect(facts.attributes.at(-1)).toEqual({
      name: "groups:a",
      claim: "groups",
      stability: "mutable",
      optional: true,
    });
  });

  test("of a trust domain names it", () => {
    const config = { trust_domain: "acme.test", bundle: { keys: [] } };
    expect(describeTrust(NAME, "spiffe", config, BROKER)).toMatchObject({
      issuer: "spiffe://acme.test",
      trustDomain: "acme.test",
    });
  });
});
