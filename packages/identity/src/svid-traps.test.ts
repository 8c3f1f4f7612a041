import { describe, expect, test } from "vitest";
import {
  BrokerError,
  parseTrustRootName,
  Secret,
  type TrustRoots,
  type VerifiedIdentity,
} from "@mayfly/spec";
import {
  asBundleKey,
  createFakeClock,
  createFakeOutboundHttp,
  createRecordingLog,
  createTestSigningKey,
  createTestTrustDomain,
  signCompact,
  unsignedCompact,
  type TestTokenChange,
} from "@mayfly/testkit";
import { Refusal } from "./refusal.ts";
import { SVID_ALGORITHMS } from "./algorithms.ts";
import { createTrustRoots, defaultTrustRootsSettings } from "./trust-roots.ts";

const BROKER = "https://broker.test";
const NAME = parseTrustRootName("acme.test", "name");
const OTHER = parseTrustRootName("other.test", "name");
const clock = createFakeClock();
const now = clock.now() / 1000;
const domain = createTestTrustDomain({ clock, audience: BROKER });
const other = createTestTrustDomain({ clock, audience: BROKER, trustDomain: "other.test" });

function rootsWith(config: Readonly<Record<string, unknown>> = {}): TrustRoots {
  const roots = createTrustRoots({
    http: createFakeOutboundHttp(),
    issuer: BROKER,
    settings: defaultTrustRootsSettings,
    log: createRecordingLog(),
  });
  roots.replace([
    roots.parse(NAME, "spiffe", { trust_domain: "acme.test", bundle: domain.bundle(), ...config }),
    roots.parse(OTHER, "spiffe", { trust_domain: "other.test", bundle: other.bundle() }),
  ]);
  return roots;
}

const verify = (text: string, roots = rootsWith()): Promise<VerifiedIdentity> =>
  roots.verify(
    { kind: "jwt", token: Secret.of(text) },
    { clock, signal: new AbortController().signal, traceId: "trace" },
  );

async function outcome(text: string, roots?: TrustRoots): Promise<string> {
  try {
    await verify(text, roots);
    return "vouched";
  } catch (error) {
    if (!BrokerError.is(error) || !(error.cause instanceof Refusal)) throw error;
    return error.cause.reason;
  }
}
const spoiled = (change: TestTokenChange, roots?: TrustRoots): Promise<string> =>
  outcome(domain.token(change), roots);

test("the SVID that the traps below each change in one way is vouched for", async () => {
  const identity = await verify(domain.token());
  expect(identity.workload).toEqual({
    trustRoot: NAME,
    kind: "spiffe",
    issuer: "spiffe://acme.test",
    subject: "spiffe://acme.test/workload",
    attributes: {},
  });
  expect(identity.oneTime).toBeNull();
});

describe("JWT-SVID header", () => {
  test.each(["JWT", "JOSE", undefined])("typ %j is allowed", async (typ) => {
    expect(await spoiled({ header: { typ } })).toBe("vouched");
  });

  test.each(["jwt", "at+jwt", "wit+jwt", "dpop+jwt", "application/jwt", ""])(
    "typ %j is not",
    async (typ) => {
      expect(await spoiled({ header: { typ } })).toBe("type");
    },
  );

  test.each(["x5t", "jwk", "jku", "crit", "cty", "b64", "anything"])(
    "a member besides alg, kid and typ is refused: %s",
    async (name) => {
      expect(await spoiled({ header: { [name]: ["exp"] } })).toBe("header");
    },
  );

  test.each(SVID_ALGORITHMS)("%s is allowed by default", async (algorithm) => {
    const key = createTestSigningKey("k", algorithm);
    const roots = rootsWith({ bundle: { keys: [asBundleKey(key)] } });
    expect(await spoiled({ key }, roots)).toBe("vouched");
  });

  test("EdDSA, HMAC and none are not JWT-SVID algorithms", async () => {
    const ed = createTestSigningKey("ed", "EdDSA");
    const roots = rootsWith({ bundle: { keys: [asBundleKey(ed)] } });
    expect(await spoiled({ key: ed }, roots)).toBe("algorithm");
    for (const alg of ["HS256", "none", "nOnE", "es256"]) {
      expect(await spoiled({ header: { alg } })).toBe("algorithm");
    }
    const claims = { sub: "spiffe://acme.test/workload", aud: BROKER, exp: now + 300 };
    expect(await outcome(unsignedCompact({ alg: "none" }, claims))).toBe("algorithm");
  });

  test("without kid every key of the bundle that fits is tried", async () => {
    const first = createTestSigningKey("first");
    const rsa = createTestSigningKey("rsa", "RS256");
    const keys = [first, rsa, domain.key].map(asBundleKey);
    const roots = rootsWith({ bundle: { keys } });
    expect(await spoiled({ header: { kid: undefined } }, roots)).toBe("vouched");
    const stranger = createTestSigningKey("stranger");
    expect(await spoiled({ header: { kid: undefined }, key: stranger }, roots)).toBe("unknown_key");
  });

  test("without kid at most 16 keys are tried", async () => {
    const keys = Array.from({ length: 16 }, (_, n) => asBundleKey(createTestSigningKey(`k${n}`)));
    const roots = rootsWith({ bundle: { keys: [...keys, asBundleKey(domain.key)] } });
    expect(await spoiled({ header: { kid: undefined } }, roots)).toBe("unknown_key");
    expect(await spoiled({}, roots)).toBe("vouched");
  });
});

describe("JWT-SVID claims", () => {
  test.each([
    "spiffe://other.test/workload",
    "spiffe://unknown.test/workload",
    "spiffe://ACME.test/workload",
    "spiffe://acme.test/../other.test/workload",
    "spiffe://acme.test.evil.test/workload",
    "spiffe://acme.test@other.test/workload",
    "spiffe://acme.test/workload/",
    "spiffe://acme.test/workload?x",
    "acme.test/workload",
    7,
    undefined,
  ])("sub %j under the domain's key is not vouched for", async (sub) => {
    expect(await spoiled({ claims: { sub } })).not.toBe("vouched");
  });

  test("the trust domain's own id is no workload", async () => {
    expect(await spoiled({ claims: { sub: "spiffe://acme.test" } })).toBe("subject");
  });

  test("the bundle is chosen by sub alone: another domain's key mints nobody here", async () => {
    const forged = { sub: "spiffe://acme.test/workload", iss: "spiffe://other.test" };
    expect(await outcome(other.token({ claims: forged }))).toBe("signature");
    expect(await outcome(other.token({ claims: forged, header: { kid: undefined } }))).toBe(
      "unknown_key",
    );
  });

  test("iss is not looked at", async () => {
    expect(await spoiled({ claims: { iss: "https://elsewhere.test" } })).toBe("vouched");
  });

  test.each([[["https://other.test"]], [[]], [undefined], ["https://other.test"]])(
    "aud %j is somebody else",
    async (aud) => {
      expect(await spoiled({ claims: { aud } })).toBe("audience");
    },
  );

  test("an SVID for us and others is refused, unless the trust root allows others", async () => {
    const claims = { aud: [BROKER, "https://other.test"] };
    expect(await spoiled({ claims })).toBe("audience");
    const roots = rootsWith({ unsafe_allow_other_audiences: true });
    expect(await spoiled({ claims }, roots)).toBe("vouched");
  });

  test.each([
    ["no exp", { exp: undefined }, "time"],
    ["an exp past the skew", { exp: now - 60 }, "time"],
    ["an nbf past the skew", { nbf: now + 61 }, "time"],
    ["an iat past the skew", { iat: now + 61 }, "time"],
    ["no iat", { iat: undefined }, "vouched"],
  ])("%s", async (_name, claims, expected) => {
    expect(await spoiled({ claims })).toBe(expected);
  });

  test("an age limit, where it is set, needs an iat", async () => {
    const roots = rootsWith({ token_age_seconds_max: 120 });
    expect(await spoiled({ claims: { iat: now - 180 } }, roots)).toBe("vouched");
    expect(await spoiled({ claims: { iat: now - 181 } }, roots)).toBe("time");
    expect(await spoiled({ claims: { iat: undefined } }, roots)).toBe("time");
  });

  test("an SVID may be presented again, as agents cache them", async () => {
    const roots = rootsWith();
    const text = domain.token();
    expect([await outcome(text, roots), await outcome(text, roots)]).toEqual([
      "vouched",
      "vouched",
    ]);
  });
});

describe("SPIFFE bundle in the configuration", () => {
  test("one without jwt-svid keys trusts nothing", async () => {
    for (const keys of [[], [{ ...asBundleKey(domain.key), use: "x509-svid" }]]) {
      expect(await spoiled({}, rootsWith({ bundle: { keys } }))).toBe("unknown_key");
    }
  });

  test("a trust domain goes before an issuer that claims the same token", async () => {
    const roots = rootsWith();
    const issuer = "https://oidc.acme.test";
    const spiffe = roots.parse(NAME, "spiffe", {
      trust_domain: "acme.test",
      bundle: domain.bundle(),
    });
    const oidc = roots.parse(parseTrustRootName("oidc", "name"), "oidc", {
      issuer,
      jwks: { keys: [domain.key.publicJwk] },
    });
    const text = domain.token({ claims: { iss: issuer } });
    roots.replace([oidc, spiffe]);
    expect((await verify(text, roots)).workload.kind).toBe("spiffe");
    roots.replace([oidc]);
    expect(await outcome(text, roots)).toBe("subject");
  });

  test.for([
    "spiffe://acme.test/workload?",
    "spiffe://acme.test/workload//x",
    "spiffe://acme.test/workload ",
    "SPIFFE://acme.test/workload",
    " spiffe://acme.test/workload",
    "\u00a0\ufeffSpiffe:workload",
  ])("an issuer's subject that looks like an id of a trust domain is refused: %j", async (sub) => {
    const roots = rootsWith();
    const issuer = "https://oidc.acme.test";
    const jwks = { keys: [domain.key.publicJwk] };
    const oidc = roots.parse(parseTrustRootName("oidc", "name"), "oidc", { issuer, jwks });
    roots.replace([oidc]);
    const claims = { iss: issuer, iat: now, sub };
    expect(await outcome(domain.token({ claims }), roots)).toBe("subject");
    const other = domain.token({ claims: { ...claims, sub: "user-of-spiffe:" } });
    expect((await verify(other, roots)).workload).toMatchObject({ kind: "oidc", issuer });
  });
});

test("a token of the broker itself is no identity", async () => {
  const roots = rootsWith();
  const own = signCompact(
    domain.key,
    { alg: "ES256", kid: domain.key.kid, typ: "at+jwt" },
    { iss: BROKER, sub: "spiffe://acme.test/workload", aud: BROKER, iat: now, exp: now + 300 },
  );
  expect(await outcome(own, roots)).toBe("type");
});
