import { describe, expect, test } from "vitest";
import { BrokerError, parseTrustRootName, Secret, type VerifiedIdentity } from "@mayfly/spec";
import {
  createFakeClock,
  createFakeOutboundHttp,
  createRecordingLog,
  createTestSigningKey,
  signCompact,
} from "@mayfly/testkit";
import { parseOidcConfig } from "../oidc-config.ts";
import { Refusal } from "../refusal.ts";
import { createTrustRoots, defaultTrustRootsSettings } from "../trust-roots.ts";
import { presetNames, presets } from "./presets.ts";

const BROKER = "https://broker.test";
const NAME = parseTrustRootName("vendor", "name");
const TENANT = "11111111-2222-3333-4444-555555555555";
const clock = createFakeClock();
const now = clock.now() / 1000;
const key = createTestSigningKey("rsa", "RS256");
const jwks = { keys: [key.publicJwk] };

/** A token as each vendor makes it, by its documentation. */
const VENDOR_TOKENS = {
  kubernetes: {
    iss: "https://kubernetes.default.svc",
    sub: "system:serviceaccount:pay:biller",
    "kubernetes.io": {
      namespace: "pay",
      serviceaccount: { name: "biller", uid: "5f0c" },
      pod: { name: "biller-1", uid: "9a" },
    },
  },
  github_actions: {
    iss: "https://token.actions.githubusercontent.com",
    sub: "repo:acme/pay:ref:refs/heads/main",
    jti: "j1",
    repository: "acme/pay",
    repository_id: "74",
    repository_owner: "acme",
    repository_owner_id: "65",
    job_workflow_ref: "acme/pay/.github/workflows/x.yml@refs/heads/main",
    ref: "refs/heads/main",
    event_name: "push",
    runner_environment: "github-hosted",
  },
  gitlab: {
    iss: "https://gitlab.com",
    sub: "project_path:acme/pay:ref_type:branch:ref:main",
    jti: "j2",
    project_id: "20",
    namespace_id: "72",
    project_path: "acme/pay",
    namespace_path: "acme",
    ref: "main",
    ref_type: "branch",
    ref_protected: "true",
    pipeline_source: "push",
  },
  gcp: {
    iss: "https://accounts.google.com",
    sub: "112233",
    email: "biller@acme.iam.gserviceaccount.com",
    email_verified: true,
    google: {
      compute_engine: { instance_id: "4521", project_id: "acme", zone: "europe-west1-b" },
    },
  },
  aws: {
    iss: "https://a1b2c3d4.tokens.sts.global.api.aws",
    sub: "arn:aws:iam::123456789012:role/biller",
    jti: "j3",
    "https://sts.amazonaws.com/": { aws_account: "123456789012", request_tags: { team: "root" } },
  },
  entra: {
    iss: `https://login.microsoftonline.com/${TENANT}/v2.0`,
    sub: "s",
    tid: TENANT,
    oid: "66",
  },
} as const satisfies Record<keyof typeof presets, Record<string, unknown>>;

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
  roots.replace([roots.parse(NAME, "oidc", { preset, issuer, jwks, ...config })]);
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

function attributesOf(outcome: VerifiedIdentity | string): Record<string, string> {
  if (typeof outcome === "string") throw new Error(`refused: ${outcome}`);
  const entries = Object.entries(outcome.workload.attributes);
  return Object.fromEntries(entries.map(([name, { value }]) => [name, value]));
}

describe("presets", () => {
  test.each(presetNames)("%s fits a token as the vendor makes it", async (preset) => {
    const outcome = await verify(preset, VENDOR_TOKENS[preset]);
    expect(Object.keys(attributesOf(outcome))).toEqual(Object.keys(presets[preset].attributes));
  });

  test.each(presetNames)("%s has an immutable attribute to match on", (preset) => {
    const stabilities = Object.values(presets[preset].attributes).map((each) => each.stability);
    expect(stabilities).toContain("immutable");
  });

  test.each(presetNames)("%s resolves into a configuration that parses to itself", (preset) => {
    const { iss } = VENDOR_TOKENS[preset];
    const resolved = parseOidcConfig("root", BROKER, { preset, issuer: iss });
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

  test('GitLab\'s text "true" is not the boolean true', async () => {
    const text = { required_claims: { ref_protected: "true" } };
    const boolean = { required_claims: { ref_protected: true } };
    expect(typeof (await verify("gitlab", VENDOR_TOKENS.gitlab, text))).toBe("object");
    expect(await verify("gitlab", VENDOR_TOKENS.gitlab, boolean)).toBe("claims");
  });

  test("a person's token of Google lacks what an instance's has", async () => {
    const { google: _google, ...person } = VENDOR_TOKENS.gcp;
    expect(await verify("gcp", person)).toBe("attributes");
    expect(await verify("gcp", { ...VENDOR_TOKENS.gcp, email_verified: "true" })).toBe("claims");
  });

  test("AWS request tags, which the caller chooses, can be no attribute and no requirement", () => {
    const claim = "/https:~1~1sts.amazonaws.com~1/request_tags/team";
    const issuer = VENDOR_TOKENS.aws.iss;
    const configs = [
      { preset: "aws", issuer, attributes: { team: { claim, stability: "mutable" } } },
      { issuer, attributes: { team: { claim, stability: "mutable" } } },
      { issuer, required_claims: { [claim]: "root" } },
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
    const other = `https://login.microsoftonline.com/${TENANT.replace("1", "9")}/v2.0`;
    expect(await verify("entra", { ...VENDOR_TOKENS.entra, iss: other })).toBe("unknown_issuer");
  });

  test("a legacy Kubernetes token has an issuer that can not be registered", () => {
    const issuer = "kubernetes/serviceaccount";
    expect(() => parseOidcConfig("root", BROKER, { preset: "kubernetes", issuer })).toThrow(
      expect.objectContaining({ where: "config.issuer" }) as Error,
    );
  });

  test("a Kubernetes token stretched to a year is refused once it is an hour old", async () => {
    const stretched = { iat: now - 3661, exp: now + 364 * 86_400 };
    expect(await verify("kubernetes", { ...VENDOR_TOKENS.kubernetes, ...stretched })).toBe("time");
  });

  test("own attributes are added to a preset's, and never replace one", async () => {
    const attributes = { environment: { claim: "environment", stability: "mutable" } };
    const claims = { ...VENDOR_TOKENS.github_actions, environment: "prod" };
    expect(attributesOf(await verify("github_actions", claims, { attributes }))).toMatchObject({
      environment: "prod",
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
