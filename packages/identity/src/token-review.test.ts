import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  BrokerError,
  parseTrustRootName,
  Secret,
  type PresentedIdentity,
  type TrustRoots,
} from "@mayfly/spec";
import { createOutboundHttp, type ClosableOutboundHttp } from "@mayfly/net";
import {
  createFakeClock,
  createFakeOutboundHttp,
  createRecordingLog,
  createTestSigningKey,
  signCompact,
  startFakeTokenReviewApi,
  vendorClaims,
  type FakeClock,
  type FakeTokenReviewApi,
  type RecordingLog,
} from "@mayfly/testkit";
import { createTokenReviews, parseKubernetesClusters } from "./kubernetes-token-reviews.ts";
import { Refusal } from "./refusal.ts";
import { createTrustRoots, defaultTrustRootsSettings } from "./trust-roots.ts";

/* Against an API server's TokenReview over real TLS, with authorities of its own. */
const BROKER = "https://broker.test";
const NAME = parseTrustRootName("cluster", "name");
const BEARER = "broker-service-account-token";
const key = createTestSigningKey("k", "ES256");
const BILLER = { username: "system:serviceaccount:pay:biller", uid: "5f0c", audiences: [BROKER] };

let clock: FakeClock;
let api: FakeTokenReviewApi;
let http: ClosableOutboundHttp;
let log: RecordingLog;
let roots: TrustRoots;
let bearer: string;

beforeEach(async () => {
  clock = createFakeClock();
  bearer = BEARER;
  log = createRecordingLog();
  api = await startFakeTokenReviewApi({ clock, bearer: BEARER });
  trust(api.ca);
});
afterEach(async () => {
  await http.close();
  await api.close();
});

function trust(ca: string): void {
  http = createOutboundHttp({ ca });
  const reviews = createTokenReviews([
    { name: "prod", apiServer: api.origin, http, readToken: async () => Secret.of(bearer) },
  ]);
  const settings = defaultTrustRootsSettings;
  const fetched = createFakeOutboundHttp();
  roots = createTrustRoots({ http: fetched, issuer: BROKER, settings, reviews, log });
  roots.replace([roots.parse(NAME, "oidc", config({ token_review: "prod" }))]);
}
const config = (members: Readonly<Record<string, unknown>>): Record<string, unknown> => ({
  preset: "kubernetes",
  issuer: vendorClaims(0).kubernetes.iss,
  jwks: { keys: [key.publicJwk] },
  ...members,
});

let made = 0;
function token(change: Readonly<Record<string, unknown>> = {}): string {
  const now = clock.now() / 1000;
  const usual = { aud: [BROKER], iat: now, exp: now + 600, jti: `t${++made}` };
  const claims = { ...vendorClaims(now).kubernetes, ...usual, ...change };
  return signCompact(key, { alg: "ES256", kid: "k" }, claims);
}
const present = (text: string): PresentedIdentity => ({ kind: "jwt", token: Secret.of(text) });

async function outcome(text: string, signal = new AbortController().signal): Promise<string> {
  try {
    await roots.verify(present(text), { clock, signal, traceId: "t" });
    return "vouched";
  } catch (error) {
    if (!BrokerError.is(error) || !(error.cause instanceof Refusal)) throw error;
    expect(error.message).toBe("The identity could not be verified.");
    return error.cause.reason;
  }
}

describe("a Kubernetes token that is reviewed", () => {
  test("counts while the cluster knows it, and not once its pod or account is deleted", async () => {
    const text = token();
    api.know(text, BILLER);
    expect([await outcome(text), await outcome(text)]).toEqual(["vouched", "vouched"]);
    api.forget(text);
    expect(await outcome(text)).toBe("review");
    expect(api.reviews).toBe(3);
  });

  test.each([
    ["another audience", { ...BILLER, audiences: ["https://kubernetes.default.svc"] }],
    ["another subject", { ...BILLER, username: "system:serviceaccount:pay:other" }],
    ["another account of the same name", { ...BILLER, uid: "77aa" }],
  ])("is refused where the cluster knows it for %s", async (_what, who) => {
    const text = token();
    api.know(text, who);
    expect(await outcome(text)).toBe("review");
  });

  test.each(["status", "not_json", "other_kind", "redirect", "reset"] as const)(
    "is refused where the API server fails by %s, and counts again when it does not",
    async (failure) => {
      const text = token();
      api.know(text, BILLER);
      api.fail(failure);
      expect(await outcome(text)).toBe("review_unavailable");
      api.fail(null);
      expect(await outcome(text)).toBe("vouched");
    },
  );

  test("is refused after 5 s without an answer", async () => {
    const text = token();
    api.fail("hang");
    const waiting = outcome(text);
    while (api.reviews === 0) await clock.settle();
    await clock.advance(5000);
    expect(await waiting).toBe("review_unavailable");
  });

  test("is refused where the broker's own token is not the cluster's any more", async () => {
    const text = token();
    api.know(text, BILLER);
    bearer = "old";
    expect(await outcome(text)).toBe("review_unavailable");
    bearer = BEARER;
    expect(await outcome(text)).toBe("vouched");
  });

  test("is shown to nobody whose certificate is not of the cluster's authorities", async () => {
    const other = await startFakeTokenReviewApi({ clock, bearer: BEARER });
    await http.close();
    trust(other.ca);
    await other.close();
    const text = token();
    api.know(text, BILLER);
    expect(await outcome(text)).toBe("review_unavailable");
    expect(api.reviews).toBe(0);
  });

  test("is shown to the cluster only once it verified", async () => {
    const forged = signCompact(createTestSigningKey("k"), { alg: "ES256", kid: "k" }, {});
    expect(await outcome(forged)).toBe("unknown_issuer");
    const [head, body] = token().split(".");
    expect(await outcome(`${head}.${body}.${"A".repeat(86)}`)).toBe("signature");
    expect(await outcome(token({ exp: 1 }))).toBe("time");
    expect(api.reviews).toBe(0);
  });

  test("presented many times at once makes one call, and afterwards another", async () => {
    const text = token();
    api.know(text, BILLER);
    const gate = api.hold();
    const waiting = Array.from({ length: 20 }, () => outcome(text));
    while (api.reviews === 0) await clock.settle();
    gate.release();
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(["vouched"]));
    expect(api.reviews).toBe(1);
    expect(await outcome(text)).toBe("vouched");
    expect(api.reviews).toBe(2);
  });

  test("makes at most 32 calls at once: whoever comes beyond is refused", async () => {
    const texts = Array.from({ length: 40 }, () => token());
    for (const text of texts) api.know(text, BILLER);
    const gate = api.hold();
    const waiting = texts.map((text) => outcome(text));
    while (api.reviews === 0) await clock.settle();
    gate.release();
    const outcomes = await Promise.all(waiting);
    expect(outcomes.filter((each) => each === "vouched")).toHaveLength(32);
    expect(outcomes.filter((each) => each === "review_unavailable")).toHaveLength(8);
  });

  test("of a trust root that was removed meanwhile is not vouched for", async () => {
    const text = token();
    api.know(text, BILLER);
    const gate = api.hold();
    const waiting = outcome(text);
    while (api.reviews === 0) await clock.settle();
    roots.replace([]);
    gate.release();
    expect(await waiting).toBe("withdrawn");
  });

  test("appears in no log, and neither does the broker's own", async () => {
    const text = token();
    api.fail("status");
    expect(await outcome(text)).toBe("review_unavailable");
    log.assertNoSecret(Secret.of(text), Secret.of(BEARER));
  });
});

describe("the clusters that can be asked", () => {
  test("are the operators': a trust root that names another is refused", () => {
    expect(() => roots.parse(NAME, "oidc", config({ token_review: "other" }))).toThrow(
      expect.objectContaining({ where: "config.token_review" }) as Error,
    );
  });

  test.each([
    [
      "an address without TLS",
      { prod: { api_server: "http://10.0.0.1", ca_file: "a", token_file: "b" } },
    ],
    ["a path", { prod: { api_server: "https://a/b", ca_file: "a", token_file: "b" } }],
    ["no authorities", { prod: { api_server: "https://a", token_file: "b" } }],
    ["a token in the file itself", { prod: { api_server: "https://a", ca_file: "a", token: "b" } }],
    ["a bad name", { Prod: { api_server: "https://a", ca_file: "a", token_file: "b" } }],
    ["a list", []],
  ])("are refused with %s", (_what, input) => {
    expect(() => parseKubernetesClusters(input, "FILE")).toThrow(
      expect.objectContaining({ code: "config_invalid", where: "FILE" }) as Error,
    );
  });

  test("are read by name", () => {
    const input = { prod: { api_server: "https://10.0.0.1:6443", ca_file: "a", token_file: "b" } };
    expect(parseKubernetesClusters(input, "FILE")).toEqual([
      { name: "prod", apiServer: "https://10.0.0.1:6443", caFile: "a", tokenFile: "b" },
    ]);
  });
});
