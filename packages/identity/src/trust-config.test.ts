import { describe, expect, test } from "vitest";
import { BrokerError } from "@mayfly/spec";
import { asBundleKey, createTestSigningKey } from "@mayfly/testkit";
import { parseOidcConfig } from "./oidc-config.ts";
import { parseSpiffeConfig } from "./spiffe-config.ts";

const BROKER = "https://broker.test";
const ISSUER = "https://idp.test";
const key = createTestSigningKey("k");

const oidc = (config: unknown): unknown => parseOidcConfig("root", BROKER, config);
const spiffe = (config: unknown): unknown => parseSpiffeConfig("root", config);

/** The place that the error names. */
function problemAt(parse: () => unknown): string | null {
  try {
    parse();
    return "accepted";
  } catch (error) {
    if (!BrokerError.is(error)) throw error;
    expect(error.code).toBe("config_invalid");
    expect(error.message).toContain(`trust root root: ${error.where}: `);
    return error.where;
  }
}

describe("OIDC trust configuration", () => {
  test("needs only an issuer; the rest has safe defaults", () => {
    expect(oidc({ issuer: ISSUER })).toEqual({
      issuer: ISSUER,
      algorithms: ["RS256", "ES256", "ES384"],
      token_age_seconds_max: 3600,
      identity_max_age_seconds: 3600,
      stale_keys_seconds_max: 3600,
      one_time_tokens: false,
      attributes: {},
      required_claims: {},
      initiators: false,
      unsafe_allow_private_addresses: false,
      unsafe_allow_other_audiences: false,
    });
  });

  test.each([
    ["no issuer", {}, "config.issuer"],
    ["not an object", [], "config"],
    ["an unknown member", { issuer: ISSUER, jwks_url: "x" }, "config.jwks_url"],
    ["an http issuer", { issuer: "http://idp.test" }, "config.issuer"],
    ["a template as issuer", { issuer: "https://idp.test/{tenantid}" }, "config.issuer"],
    ["an issuer with a query", { issuer: "https://idp.test?x" }, "config.issuer"],
    ["an issuer with a fragment", { issuer: "https://idp.test#x" }, "config.issuer"],
    ["an issuer with a user", { issuer: "https://a:b@idp.test" }, "config.issuer"],
    ["no URL as issuer", { issuer: "kubernetes/serviceaccount" }, "config.issuer"],
    ["the broker itself as issuer", { issuer: BROKER }, "config.issuer"],
    ["the broker itself, written otherwise", { issuer: `${BROKER}/` }, "config.issuer"],
    ["a backend of the broker as issuer", { issuer: `${BROKER}/backends/x` }, "config.issuer"],
    ["NUL in the audience", { issuer: ISSUER, audience: "a\u0000" }, "config.audience"],
    [
      "NUL in a required claim",
      { issuer: ISSUER, required_claims: { ref: "a\u0000" } },
      "config.required_claims.ref",
    ],
    ["an http jwks_uri", { issuer: ISSUER, jwks_uri: "http://idp.test/k" }, "config.jwks_uri"],
    ["HMAC", { issuer: ISSUER, algorithms: ["HS256"] }, "config.algorithms.0"],
    ["none", { issuer: ISSUER, algorithms: ["none"] }, "config.algorithms.0"],
    [
      "an algorithm in lower case",
      { issuer: ISSUER, algorithms: ["rs256"] },
      "config.algorithms.0",
    ],
    ["no algorithm", { issuer: ISSUER, algorithms: [] }, "config.algorithms"],
    ["an algorithm twice", { issuer: ISSUER, algorithms: ["RS256", "RS256"] }, "config.algorithms"],
    ["an age of 0", { issuer: ISSUER, token_age_seconds_max: 0 }, "config.token_age_seconds_max"],
    [
      "a stale time of days",
      { issuer: ISSUER, stale_keys_seconds_max: 86_401 },
      "config.stale_keys_seconds_max",
    ],
    ["text for a boolean", { issuer: ISSUER, one_time_tokens: "true" }, "config.one_time_tokens"],
    ["a number for initiators", { issuer: ISSUER, initiators: 1 }, "config.initiators"],
  ])("%s is refused by its place", (_name, config, where) => {
    expect(problemAt(() => oidc(config))).toBe(where);
  });

  test("an attribute needs a usable claim, a stability and nothing else", () => {
    const withAttribute = (attribute: unknown) => () =>
      oidc({ issuer: ISSUER, attributes: { a: attribute } });
    expect(problemAt(withAttribute({ claim: "/a~2", stability: "mutable" }))).toBe(
      "config.attributes.a.claim",
    );
    expect(problemAt(withAttribute({ claim: "a" }))).toBe("config.attributes.a.stability");
    expect(problemAt(withAttribute({ claim: "a", stability: "sure" }))).toBe(
      "config.attributes.a.stability",
    );
    expect(problemAt(withAttribute({ claim: "a", stability: "mutable", x: 1 }))).toBe(
      "config.attributes.a.x",
    );
    expect(
      problemAt(() =>
        oidc({ issuer: ISSUER, attributes: { "A b": { claim: "a", stability: "mutable" } } }),
      ),
    ).toBe("config.attributes.A b");
  });

  test("http is for unsafe_allow_private_addresses", () => {
    const config = { issuer: "http://127.0.0.1:8421", unsafe_allow_private_addresses: true };
    expect(problemAt(() => oidc(config))).toBe("accepted");
  });

  test("inline keys are public, usable, and the only source", () => {
    const withKeys =
      (jwks: unknown, more = {}) =>
      () =>
        oidc({ issuer: ISSUER, jwks, ...more });
    expect(problemAt(withKeys({ keys: [key.publicJwk] }))).toBe("accepted");
    expect(problemAt(withKeys({ keys: [] }))).toBe("accepted");
    expect(problemAt(withKeys({ keys: [{ ...key.publicJwk, d: "AAAA" }] }))).toBe("config.jwks");
    expect(problemAt(withKeys({ keys: [{ kty: "oct", k: "AAAA" }] }))).toBe("config.jwks");
    expect(problemAt(withKeys({ keys: [{ kty: "EC" }] }))).toBe("config.jwks");
    expect(problemAt(withKeys({ keys: [asBundleKey(key)] }))).toBe("config.jwks");
    expect(problemAt(withKeys({ keys: [key.publicJwk] }, { jwks_uri: `${ISSUER}/k` }))).toBe(
      "config.jwks",
    );
  });

  test("an error about a key never shows the key", () => {
    const d = "canary-private-scalar";
    expect(() => oidc({ issuer: ISSUER, jwks: { keys: [{ ...key.publicJwk, d }] } })).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining(d) as string }) as Error,
    );
  });
});

describe("SPIFFE trust configuration", () => {
  const bundle = { keys: [asBundleKey(key)], spiffe_sequence: 1, spiffe_refresh_hint: 60 };
  const endpoint = { url: "https://spire.test/bundle", profile: "https_web" };
  const spiffeEndpoint = {
    url: "https://spire.test/bundle",
    profile: "https_spiffe",
    endpoint_spiffe_id: "spiffe://a/spire/server",
    bootstrap_bundle: bundle,
  };

  test("takes a bundle, a bundle endpoint or the agent's word", () => {
    for (const source of [{ bundle_endpoint: spiffeEndpoint }, { workload_api: true }]) {
      expect(problemAt(() => spiffe({ trust_domain: "a", ...source }))).toBe("accepted");
    }
    expect(problemAt(() => spiffe({ trust_domain: "acme.test", bundle }))).toBe("accepted");
    expect(problemAt(() => spiffe({ trust_domain: "acme.test", bundle_endpoint: endpoint }))).toBe(
      "accepted",
    );
  });

  test.each([
    ["neither", { trust_domain: "acme.test" }, "config.bundle"],
    ["both", { trust_domain: "acme.test", bundle, bundle_endpoint: endpoint }, "config.bundle"],
    ["a scheme in the trust domain", { trust_domain: "spiffe://a", bundle }, "config.trust_domain"],
    ["upper case in the trust domain", { trust_domain: "Acme", bundle }, "config.trust_domain"],
    [
      "an http endpoint",
      { trust_domain: "a", bundle_endpoint: { ...endpoint, url: "http://a.test/" } },
      "config.bundle_endpoint.url",
    ],
    [
      "a user in the endpoint",
      { trust_domain: "a", bundle_endpoint: { ...endpoint, url: "https://u@a.test/" } },
      "config.bundle_endpoint.url",
    ],
    [
      "another profile",
      { trust_domain: "a", bundle_endpoint: { ...endpoint, profile: "https" } },
      "config.bundle_endpoint.profile",
    ],
    [
      "https_spiffe without the endpoint's id",
      { trust_domain: "a", bundle_endpoint: { ...spiffeEndpoint, endpoint_spiffe_id: undefined } },
      "config.bundle_endpoint.endpoint_spiffe_id",
    ],
    [
      "https_spiffe with the id of no server",
      {
        trust_domain: "a",
        bundle_endpoint: { ...spiffeEndpoint, endpoint_spiffe_id: "spiffe://a" },
      },
      "config.bundle_endpoint.endpoint_spiffe_id",
    ],
    [
      "https_spiffe over http",
      {
        trust_domain: "a",
        bundle_endpoint: { ...spiffeEndpoint, url: "http://a.test/" },
        unsafe_allow_private_addresses: true,
      },
      "config.bundle_endpoint.url",
    ],
    ["two sources", { trust_domain: "a", bundle, workload_api: true }, "config.bundle"],
    ["an agent that is none", { trust_domain: "a", workload_api: false }, "config.workload_api"],
    [
      "an id of another domain",
      { trust_domain: "a", bundle, spiffe_ids: ["spiffe://a/x", "spiffe://b/*"] },
      "config.spiffe_ids.1",
    ],
    [
      "a star within a segment",
      { trust_domain: "a", bundle, spiffe_ids: ["spiffe://a/x*"] },
      "config.spiffe_ids.0",
    ],
    ["EdDSA", { trust_domain: "a", bundle, algorithms: ["EdDSA"] }, "config.algorithms.0"],
    [
      "one-time tokens",
      { trust_domain: "a", bundle, one_time_tokens: true },
      "config.one_time_tokens",
    ],
    ["a bundle map", { trust_domain: "a", bundle: { trust_domains: {} } }, "config.bundle.keys"],
    [
      "a private key",
      { trust_domain: "a", bundle: { keys: [{ ...asBundleKey(key), d: "AAAA" }] } },
      "config.bundle",
    ],
  ])("%s is refused by its place", (_name, config, where) => {
    expect(problemAt(() => spiffe(config))).toBe(where);
  });
});
