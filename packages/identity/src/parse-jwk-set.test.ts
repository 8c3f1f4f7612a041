import { describe, expect, test } from "vitest";
import { asBundleKey, createTestSigningKey, type TestSigningKey } from "@mayfly/testkit";
import { OIDC_ALGORITHMS, SVID_ALGORITHMS } from "./algorithms.ts";
import { parseJwkSet, type JwkSetRules } from "./parse-jwk-set.ts";
import { Refusal } from "./refusal.ts";

const OIDC: JwkSetRules = { algorithms: ["RS256", "ES256", "ES384"], profile: "oidc" };
const SPIFFE: JwkSetRules = { algorithms: SVID_ALGORITHMS, profile: "spiffe" };
const ec = createTestSigningKey("ec");
const rsa = createTestSigningKey("rsa", "RS256");

const usable = (jwk: unknown, rules = OIDC): readonly (readonly string[])[] =>
  parseJwkSet({ keys: [jwk] }, rules).keys.map(({ algorithms }) => algorithms);
const without = (key: TestSigningKey, ...names: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(Object.entries(key.publicJwk).filter(([name]) => !names.includes(name)));

describe("JWK set of an OIDC issuer", () => {
  test("a key serves the one algorithm that it names", () => {
    expect(usable(ec.publicJwk)).toEqual([["ES256"]]);
    expect(usable(rsa.publicJwk)).toEqual([["RS256"]]);
  });

  test("a key that names no algorithm serves the one allowed algorithm that fits it", () => {
    expect(usable(without(rsa, "alg"))).toEqual([["RS256"]]);
    expect(usable(without(ec, "alg"))).toEqual([["ES256"]]);
  });

  test("a key that names no algorithm and fits two of the allowed serves none", () => {
    const both = { ...OIDC, algorithms: ["RS256", "PS256"] } as const;
    expect(usable(without(rsa, "alg"), both)).toEqual([]);
    expect(usable(rsa.publicJwk, both)).toEqual([["RS256"]]);
  });

  test("a key without `use` is for signatures, one for encryption is not", () => {
    expect(usable(without(ec, "use"))).toHaveLength(1);
    expect(usable({ ...ec.publicJwk, use: "enc" })).toEqual([]);
    expect(usable({ ...ec.publicJwk, key_ops: ["verify"] })).toHaveLength(1);
    expect(usable({ ...ec.publicJwk, key_ops: ["encrypt"] })).toEqual([]);
  });

  test("RSA of fewer than 2048 bits is skipped", () => {
    const weak = createTestSigningKey("weak", "RS256", 1024);
    const both = parseJwkSet({ keys: [weak.publicJwk, rsa.publicJwk] }, OIDC);
    expect(both.keys.map(({ kid }) => kid)).toEqual(["rsa"]);
  });

  test("an RSA exponent of 1 or of many bytes is skipped", () => {
    for (const one of ["AQ", "AQ.", "AAAB", "Ag"]) {
      expect(usable({ ...rsa.publicJwk, e: one }), one).toEqual([]);
    }
    expect(usable({ ...rsa.publicJwk, e: "AQAAAAAAAAAB" })).toEqual([]);
  });

  test("a number that is longer than the largest key's is not read, whatever it is", () => {
    // The platform takes time for the square of its length: 16 s for a document's 512 KiB.
    const zeros = "A".repeat(2000);
    expect(usable({ ...rsa.publicJwk, e: `${zeros}AQAB` })).toEqual([]);
    expect(usable({ ...rsa.publicJwk, e: "AAEAAQ" })).toEqual([["RS256"]]);
  });

  test("EdDSA is there for who allows it", () => {
    const ed = createTestSigningKey("ed", "EdDSA");
    expect(usable(ed.publicJwk)).toEqual([]);
    expect(usable(ed.publicJwk, { ...OIDC, algorithms: OIDC_ALGORITHMS })).toEqual([["EdDSA"]]);
  });

  test.each([
    ["a symmetric key", { kty: "oct", kid: "o", k: "AAAA", alg: "HS256" }],
    ["an unknown key type", { ...ec.publicJwk, kty: "QC" }],
    ["an algorithm of another key type", { ...ec.publicJwk, alg: "RS256" }],
    ["an algorithm of another curve", { ...ec.publicJwk, alg: "ES384" }],
    ["an algorithm in another case", { ...ec.publicJwk, alg: "es256" }],
    ["an algorithm that is not allowed", { ...rsa.publicJwk, alg: "RS512" }],
    ["a point off the curve", { ...ec.publicJwk, x: "AAAA" }],
    ["a key that shows its private half", { ...ec.publicJwk, d: "AAAA" }],
    ["a key id that is no text", { ...ec.publicJwk, kid: 7 }],
    ["something else", "key"],
  ])("%s is skipped, and the others serve", (_name, jwk) => {
    const keys = parseJwkSet({ keys: [jwk, rsa.publicJwk] }, OIDC).keys;
    expect(keys.map(({ kid }) => kid)).toEqual(["rsa"]);
  });

  test.each([
    ["a list", []],
    ["no keys", {}],
    ["keys that are no list", { keys: {} }],
    ["101 keys", { keys: Array.from({ length: 101 }, () => ec.publicJwk) }],
    ["nothing", null],
  ])("%s is no JWK set", (_name, document) => {
    expect(() => parseJwkSet(document, OIDC)).toThrow(Refusal);
  });

  test("an empty set is one, and trusts nothing", () => {
    expect(parseJwkSet({ keys: [] }, OIDC).keys).toEqual([]);
  });
});

describe("SPIFFE bundle", () => {
  test("a jwt-svid key is used although its `use` is not `sig`", () => {
    expect(usable(asBundleKey(ec), SPIFFE)).toEqual([["ES256"]]);
  });

  test("an RSA key serves RS and PS, as bundles name no algorithm", () => {
    const algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    expect(usable(asBundleKey(rsa), SPIFFE)).toEqual([algorithms]);
  });

  test.each([
    ["an X.509 authority", { ...asBundleKey(ec), use: "x509-svid", x5c: ["AAAA"] }],
    ["a WIT key", { ...asBundleKey(ec), use: "wit-svid" }],
    ["an ordinary signing key", { ...asBundleKey(ec), use: "sig" }],
    ["a key without `use`", without(ec, "use", "alg")],
    ["a key without `kid`", { ...without(ec, "kid", "alg"), use: "jwt-svid" }],
    ["an EdDSA key", asBundleKey(createTestSigningKey("ed", "EdDSA"))],
  ])("%s is skipped, and the others serve", (_name, jwk) => {
    const keys = parseJwkSet({ keys: [jwk, asBundleKey(rsa)] }, SPIFFE).keys;
    expect(keys.map(({ kid }) => kid)).toEqual(["rsa"]);
  });
});
