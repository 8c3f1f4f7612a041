import { describe, expect, test } from "vitest";
import { BrokerError, parseTrustRootName, Secret, type VerifiedIdentity } from "@mayfly/spec";
import {
  createFakeClock,
  createFakeOutboundHttp,
  createRecordingLog,
  createTestSigningKey,
  signCompact,
  vendorClaims,
  VENDOR_TENANT,
} from "@mayfly/testkit";
import { parseClaimPath } from "../claim-path.ts";
import { parseOidcConfig } from "../oidc-config.ts";
import { isJsonMap, type JsonMap } from "../parse-compact-jwt.ts";
import { Refusal } from "../refusal.ts";
import { createTrustRoots, defaultTrustRootsSettings } from "../trust-roots.ts";
import type { PresetAttribute } from "./preset.ts";
import { presetNames, presets } from "./presets.ts";

const BROKER = "https://broker.test";
const NAME = parseTrustRootName("vendor", "name");
const clock = createFakeClock();
const now = clock.now() / 1000;
const key = createTestSigningKey("rsa", "RS256");
const jwks = { keys: [key.publicJwk] };

const VENDOR_TOKENS = vendorClaims(now) satisfies Record<keyof typeof presets, JsonMap>;

/** What a configuration of the preset must say besides. */
const MEMBERS: Partial<Record<keyof typeof presets, Readonly<Record<string, unknown>>>> = {
  spire_oidc: { trust_domain: "acme.test" },
};

async function verify(
  preset: keyof typeof presets,
  claims: Readonly<Record<string, unknown>>,
  config: Readonly<Record<string, unknown>> = {},
): Promise<VerifiedIdentity | string> {
  const settings = defaultTrustRootsSettings;
  const log = createRecordingLog();
  const http = createFakeOutboundHttp();
  const roots = createTrustRoots({ http, issuer: BROKER, settings, log });
  const issuer = VENDOR_TOKENS[preset].iss;
  roots.replace([
    roots.parse(NAME, "oidc", { preset, issuer, jwks, ...MEMBERS[preset], ...config }),
  ]);
  const usual = { aud: BROKER, iat: now, exp: now + 300 };
  const text = signCompact(key, { alg: "RS256", kid: "rsa" }, { ...usual, ...claims });
  const signal = new AbortController().signal;
  try {
    return await roots.verify(
      { kind: "jwt", token: Secret.of(text) },
      { clock, signal, traceId: "trace" },
    );
  } catch (error) {
    if (!BrokerError.is(error) || !(error.cause instanceof Refusal)) throw error;
    return error.cause.reason;
  }
}

function without(claims: JsonMap, claim: string): JsonMap {
  const [first, ...rest] = parseClaimPath(claim) ?? [];
  return withoutPath(claims, [first ?? "", ...rest]);
}

function withoutPath(claims: JsonMap, [first, ...rest]: readonly string[]): JsonMap {
  const [next] = rest;
  const entries = Object.entries(claims).flatMap(([name, value]) => {
    if (name !== first) return [[name, value] as const];
    return next === undefined || !isJsonMap(value)
      ? []
      : [[name, withoutPath(value, rest)] as const];
  });
  return Object.fromEntries(entries);
}

function attributesOf(outcome: VerifiedIdentity | string): Record<string, string> {
  if (typeof outcome === "string") throw new Error(`refused: ${outcome}`);
  const entries = Object.entries(outcome.workload.attributes);
  return Object.fromEntries(entries.map(([name, { value }]) => [name, value]));
}

describe("presets", () => {
  test.each(presetNames)("%s fits a token as the vendor makes it", async (preset) => {
    const outcome = await verify(preset, VENDOR_TOKENS[preset]);
    const names = Object.keys(presets[preset].attributes);
    // Of an instance alone, whose token is another.
    const lacking = preset === "gcp_service_account" ? ["instance_id", "project_id", "zone"] : [];
    expect(Object.keys(attributesOf(outcome))).toEqual(
      names.filter((name) => !lacking.includes(name)),
    );
  });

  test.each(presetNames)(
    "%s accepts a token without what some of its tokens lack, and none without the rest",
    async (preset) => {
      for (const [name, { claim, optional }] of Object.entries<PresetAttribute>(
        presets[preset].attributes,
      )) {
        if (claim === "sub") continue;
        const outcome = await verify(preset, without(VENDOR_TOKENS[preset], claim));
        if (optional === true) expect(attributesOf(outcome)).not.toHaveProperty([name]);
        else expect(["attributes", "claims"]).toContain(outcome);
      }
    },
  );

  test.each(presetNames.filter((name) => !presets[name].trustDomain))(
    "%s has an immutable attribute to match on",
    (preset) => {
      const stabilities = Object.values(presets[preset].attributes).map((each) => each.stability);
      expect(stabilities).toContain("immutable");
    },
  );

  test.each(presetNames)("%s resolves into a configuration that parses to itself", (preset) => {
    const { iss } = VENDOR_TOKENS[preset];
    const input = { preset, issuer: iss, ...MEMBERS[preset] };
    const resolved = parseOidcConfig("root", BROKER, input);
    expect(resolved).not.toHaveProperty("preset");
    expect(parseOidcConfig("root", BROKER, resolved)).toEqual(resolved);
  });

  test("GitHub's old and new subject forms have the same immutable attributes", async () => {
    const old = await verify("github_actions", VENDOR_TOKENS.github_actions);
    const sub = "repo:acme@65/repo:pay@74:ref:refs/heads/main";
    const renewed = await verify("github_actions", { ...VENDOR_TOKENS.github_actions, sub });
    expect(attributesOf(renewed)).toEqual(attributesOf(old));
    expect(renewed).toMatchObject({ workload: { subject: sub } });
  });

  test("GitHub's tokens are accepted once: they need a jti", async () => {
    const { jti: _jti, ...claims } = VENDOR_TOKENS.github_actions;
    expect(await verify("github_actions", claims)).toBe("claims");
  });

  test("GitLab's booleans are text, and a text is not the boolean", async () => {
    const text = { required_claims: { ref_protected: "true" } };
    const boolean = { required_claims: { ref_protected: true } };
    expect(typeof (await verify("gitlab", VENDOR_TOKENS.gitlab, text))).toBe("object");
    expect(await verify("gitlab", VENDOR_TOKENS.gitlab, boolean)).toBe("claims");
  });

  test("Google's service accounts and instances come by one trust root, each as itself", async () => {
    const account = VENDOR_TOKENS.gcp_service_account;
    const seen = attributesOf(await verify("gcp_service_account", account));
    expect(Object.keys(seen).toSorted()).toEqual(["service_account_email", "service_account_id"]);
    const instance = attributesOf(await verify("gcp_service_account", VENDOR_TOKENS.gcp));
    expect(instance).toEqual(attributesOf(await verify("gcp", VENDOR_TOKENS.gcp)));
    expect(instance).toHaveProperty("project_id");
  });

  test("a person's token of Google lacks what an instance's has", async () => {
    const { google: _google, ...person } = VENDOR_TOKENS.gcp;
    expect(await verify("gcp", person)).toBe("attributes");
    expect(await verify("gcp", { ...VENDOR_TOKENS.gcp, email_verified: "true" })).toBe("claims");
  });

  test.each(["biller@acme.test", "biller@gserviceaccount.com.acme.test", "x@gserviceaccount.com"])(
    "Google's service accounts have addresses that only Google makes: %s is none",
    async (email) => {
      const claims = { ...VENDOR_TOKENS.gcp_service_account, email };
      expect(await verify("gcp_service_account", claims)).toBe("claims");
    },
  );

  test("an Entra token in which an application acts for a person is not the application's", async () => {
    const delegated = { ...VENDOR_TOKENS.entra, scp: "user_impersonation" };
    expect(await verify("entra", delegated)).toBe("claims");
  });

  test("an Entra token has the tenant of its issuer, in both forms of it", async () => {
    const tid = VENDOR_TENANT.replace("1", "9");
    expect(await verify("entra", { ...VENDOR_TOKENS.entra, tid })).toBe("claims");
    const issuer = `https://sts.windows.net/${VENDOR_TENANT}/`;
    const v1 = { ...VENDOR_TOKENS.entra, iss: issuer };
    expect(typeof (await verify("entra", v1, { issuer }))).toBe("object");
    expect(await verify("entra", { ...v1, tid }, { issuer })).toBe("claims");
    const unslashed = { issuer: issuer.slice(0, -1) };
    expect(() => parseOidcConfig("root", BROKER, { preset: "entra", ...unslashed })).toThrow(
      expect.objectContaining({ where: "config.issuer" }) as Error,
    );
  });

  test.each([
    ["ID", { typ: "ID" }],
    ["refresh", { typ: "Refresh" }],
    ["logout", { typ: "Logout" }],
    ["a person's", { sid: "0af2" }],
    ["a person's, of an older version,", { session_state: "0af2" }],
  ])("of Keycloak's tokens, %s tokens are no service account's", async (_what, change) => {
    expect(await verify("keycloak", { ...VENDOR_TOKENS.keycloak, ...change })).toBe("claims");
  });

  test("Keycloak's default audience beside ours makes the token others' too", async () => {
    const aud = [BROKER, "account"];
    expect(await verify("keycloak", { ...VENDOR_TOKENS.keycloak, aud })).toBe("audience");
  });

  test("a realm is part of Keycloak's issuer", () => {
    for (const issuer of ["https://login.acme.test", "https://login.acme.test/realms/pay/"]) {
      expect(() => parseOidcConfig("root", BROKER, { preset: "keycloak", issuer })).toThrow(
        expect.objectContaining({ where: "config.issuer" }) as Error,
      );
    }
  });

  test("what SPIRE's discovery provider vouches for is the workload of the trust domain", async () => {
    expect(await verify("spire_oidc", VENDOR_TOKENS.spire_oidc)).toMatchObject({
      workload: {
        kind: "spiffe",
        issuer: "spiffe://acme.test",
        subject: "spiffe://acme.test/pay/biller",
      },
    });
  });

  test.each([
    "spiffe://other.test/pay/biller",
    "spiffe://acme.test",
    "spiffe://acme.test/pay/../root",
    "spiffe://ACME.test/pay/biller",
    "pay/biller",
  ])("and of nobody else: not of %s", async (sub) => {
    expect(await verify("spire_oidc", { ...VENDOR_TOKENS.spire_oidc, sub })).toBe("subject");
  });

  test("SPIRE's discovery provider is trusted with one trust domain, which has to be named", () => {
    const issuer = VENDOR_TOKENS.spire_oidc.iss;
    expect(() => parseOidcConfig("root", BROKER, { preset: "spire_oidc", issuer })).toThrow(
      expect.objectContaining({ where: "config.trust_domain" }) as Error,
    );
    const other = { preset: "spire_oidc", issuer, trust_domain: "Acme.test" };
    expect(() => parseOidcConfig("root", BROKER, other)).toThrow(
      expect.objectContaining({ where: "config.trust_domain" }) as Error,
    );
  });

  test("AWS request tags, which the caller chooses, can be no attribute and no requirement", () => {
    const claim = "/https:~1~1sts.amazonaws.com~1/request_tags/team";
    const issuer = VENDOR_TOKENS.aws.iss;
    const configs = [
      { preset: "aws", issuer, attributes: { team: { claim, stability: "mutable" } } },
      { issuer, attributes: { team: { claim, stability: "mutable" } } },
      { issuer, required_claims: { [claim]: "root" } },
      { issuer, required_text: { [claim]: { starts_with: "r" } } },
    ];
    for (const config of configs) {
      expect(() => parseOidcConfig("root", BROKER, config)).toThrow(/lets the caller choose/);
    }
  });

  test.each(["common", "organizations", "consumers", "{tenantid}", "acme.com"])(
    "Entra's tenant is pinned by its id: %s is none",
    (tenant) => {
      const issuer = `https://login.microsoftonline.com/${tenant}/v2.0`;
      expect(() => parseOidcConfig("root", BROKER, { preset: "entra", issuer })).toThrow(
        expect.objectContaining({ where: "config.issuer" }) as Error,
      );
    },
  );

  test("a token of another Entra tenant is of an unknown issuer", async () => {
    const other = `https://login.microsoftonline.com/${VENDOR_TENANT.replace("1", "9")}/v2.0`;
    expect(await verify("entra", { ...VENDOR_TOKENS.entra, iss: other })).toBe("unknown_issuer");
  });

  test("a legacy Kubernetes token has an issuer that can not be registered", () => {
    const issuer = "kubernetes/serviceaccount";
    expect(() => parseOidcConfig("root", BROKER, { preset: "kubernetes", issuer })).toThrow(
      expect.objectContaining({ where: "config.issuer" }) as Error,
    );
  });

  test("a legacy Kubernetes token has no exp, and is refused under any issuer", async () => {
    const legacy = {
      ...VENDOR_TOKENS.kubernetes,
      "kubernetes.io/serviceaccount/namespace": "pay",
      "kubernetes.io/serviceaccount/service-account.uid": "5f0c",
      exp: undefined,
    };
    expect(await verify("kubernetes", legacy)).toBe("time");
  });

  test("a Kubernetes token is a service account's", async () => {
    const node = { ...VENDOR_TOKENS.kubernetes, sub: "system:node:node-1" };
    expect(await verify("kubernetes", node)).toBe("claims");
  });

  test("a Kubernetes token stretched to a year is refused once it is an hour old", async () => {
    const stretched = { iat: now - 3661, exp: now + 364 * 86_400 };
    expect(await verify("kubernetes", { ...VENDOR_TOKENS.kubernetes, ...stretched })).toBe("time");
  });

  test("GitLab's ids count whether they come as text or as numbers", async () => {
    const numbers = { ...VENDOR_TOKENS.gitlab, project_id: 20, user_id: 42 };
    expect(attributesOf(await verify("gitlab", numbers))).toEqual(
      attributesOf(await verify("gitlab", VENDOR_TOKENS.gitlab)),
    );
  });

  test("an optional attribute that is there is of a form that has a text", async () => {
    const listed = { ...VENDOR_TOKENS.github_actions, environment: ["production"] };
    expect(await verify("github_actions", listed)).toBe("attributes");
  });

  test("what a preset requires can be added to, and not redefined", () => {
    const issuer = VENDOR_TOKENS.kubernetes.iss;
    const of = (members: object): unknown =>
      parseOidcConfig("root", BROKER, { preset: "kubernetes", issuer, ...members });
    expect(of({ required_text: { jti: { ends_with: "x" } } })).toMatchObject({
      required_text: { jti: { ends_with: "x" }, sub: { starts_with: "system:serviceaccount:" } },
    });
    expect(() => of({ required_text: { sub: { starts_with: "system:" } } })).toThrow(
      expect.objectContaining({ where: "config.required_text.sub" }) as Error,
    );
    expect(() => of({ required_text: { jti: {} } })).toThrow(/starts_with/);
    const person = { preset: "entra", issuer: VENDOR_TOKENS.entra.iss, absent_claims: ["acct"] };
    expect(parseOidcConfig("root", BROKER, person)).toMatchObject({
      absent_claims: ["scp", "acct"],
    });
  });

  test("own attributes are added to a preset's, and never replace one", async () => {
    const attributes = { sha: { claim: "sha", stability: "immutable" } };
    const claims = { ...VENDOR_TOKENS.github_actions, sha: "a1" };
    expect(attributesOf(await verify("github_actions", claims, { attributes }))).toMatchObject({
      sha: "a1",
      repository_id: "74",
    });
    const redefined = { repository_id: { claim: "repository", stability: "immutable" } };
    expect(() =>
      parseOidcConfig("root", BROKER, { preset: "github_actions", attributes: redefined }),
    ).toThrow(expect.objectContaining({ where: "config.attributes.repository_id" }) as Error);
  });

  test("an unknown preset is refused by name", () => {
    expect(() => parseOidcConfig("root", BROKER, { preset: "circleci" })).toThrow(
      /expected one of/,
    );
  });
});
