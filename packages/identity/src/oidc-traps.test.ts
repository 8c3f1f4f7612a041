import { createPublicKey, sign } from "node:crypto";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import {
  BrokerError,
  parseTrustRootName,
  Secret,
  type TrustRoots,
  type VerifiedIdentity,
} from "@mayfly/spec";
import {
  createFakeClock,
  createFakeOutboundHttp,
  createRecordingLog,
  createTestSigningKey,
  hmacCompact,
  signCompact,
  unsignedCompact,
  type TestSigningKey,
} from "@mayfly/testkit";
import { Refusal } from "./refusal.ts";
import { createTrustRoots, defaultTrustRootsSettings } from "./trust-roots.ts";

const BROKER = "https://broker.test";
const ISSUER = "https://idp.test";
const NAME = parseTrustRootName("idp.test", "name");
const rsa = createTestSigningKey("rsa", "RS256");
const ec = createTestSigningKey("ec", "ES256");
const clock = createFakeClock();
const now = clock.now() / 1000;

function rootsWith(config: Readonly<Record<string, unknown>> = {}): TrustRoots {
  const roots = createTrustRoots({
    http: createFakeOutboundHttp(),
    issuer: BROKER,
    settings: defaultTrustRootsSettings,
    log: createRecordingLog(),
  });
  const jwks = { keys: [rsa.publicJwk, ec.publicJwk] };
  roots.replace([roots.parse(NAME, "oidc", { issuer: ISSUER, jwks, ...config })]);
  return roots;
}

const HEADER = { alg: "RS256", kid: "rsa", typ: "JWT" };
const CLAIMS = { iss: ISSUER, sub: "workload", aud: BROKER, iat: now, exp: now + 300 };
type Change = Readonly<Record<string, unknown>>;
const token = (header: Change = {}, claims: Change = {}, key: TestSigningKey = rsa): string =>
  signCompact(key, { ...HEADER, ...header }, { ...CLAIMS, ...claims });

const verify = (text: string, roots = rootsWith()): Promise<VerifiedIdentity> =>
  roots.verify(
    { kind: "jwt", token: Secret.of(text) },
    { clock, signal: new AbortController().signal, traceId: "trace" },
  );

/** The reason for the log, or `vouched`. The public side is the same for all of them. */
async function outcome(text: string, roots?: TrustRoots): Promise<string> {
  try {
    await verify(text, roots);
    return "vouched";
  } catch (error) {
    if (!BrokerError.is(error) || !(error.cause instanceof Refusal)) throw error;
    expect([error.code, error.message]).toEqual([
      "invalid_identity",
      "The identity could not be verified.",
    ]);
    return error.cause.reason;
  }
}

test("the token that the traps below each change in one way is vouched for", async () => {
  const identity = await verify(token());
  expect(identity).toMatchObject({
    workload: { trustRoot: NAME, kind: "oidc", issuer: ISSUER, subject: "workload" },
    expiresAt: (now + 300) * 1000,
    provenAt: clock.now(),
    identityMaxAgeSeconds: 3600,
    oneTime: null,
    confirmation: null,
    mayInitiate: false,
  });
  expect((await verify(token(), rootsWith({ initiators: true }))).mayInitiate).toBe(true);
  expect(await outcome(token({ alg: "ES256", kid: "ec" }, {}, ec))).toBe("vouched");
});

describe("algorithm", () => {
  test.each(["none", "None", "NONE", "nOnE", ""])("alg %j is refused", async (alg) => {
    expect(await outcome(unsignedCompact({ ...HEADER, alg }, CLAIMS))).not.toBe("vouched");
    expect(await outcome(signCompact(rsa, { ...HEADER, alg }, CLAIMS))).toBe("algorithm");
  });

  test.each(["rs256", "Rs256", "RS256 ", "RSA256"])("alg %j is not RS256", async (alg) => {
    expect(await outcome(token({ alg }))).toBe("algorithm");
  });

  test.each([["RS256"], 256, null, undefined])("alg %j is refused", async (alg) => {
    expect(await outcome(token({ alg }))).toBe("algorithm");
  });

  test("HS256 with the RSA public key as its secret is refused", async () => {
    const header = { ...HEADER, alg: "HS256" };
    const publicKey = createPublicKey(rsa.privateKey);
    const secrets = [
      publicKey.export({ type: "spki", format: "pem" }),
      publicKey.export({ type: "pkcs1", format: "pem" }),
      publicKey.export({ type: "spki", format: "der" }),
      JSON.stringify(rsa.publicJwk),
    ];
    for (const secret of secrets) {
      expect(await outcome(hmacCompact(secret, header, CLAIMS))).toBe("algorithm");
    }
  });

  test("an algorithm of another key type than the named key is refused", async () => {
    expect(await outcome(token({ kid: "ec" }))).toBe("algorithm");
    expect(await outcome(token({ alg: "ES256", kid: "rsa" }, {}, ec))).toBe("algorithm");
  });

  test("an algorithm that is allowed, but not what the key names, is refused", async () => {
    const roots = rootsWith({ algorithms: ["RS256", "PS256"] });
    const other = { ...rsa, algorithm: "PS256" as const };
    expect(await outcome(token({ alg: "PS256" }, {}, other), roots)).toBe("algorithm");
    expect(await outcome(token(), roots)).toBe("vouched");
  });

  test("an algorithm that the trust root does not allow is refused", async () => {
    const roots = rootsWith({ algorithms: ["ES256"] });
    expect(await outcome(token(), roots)).toBe("algorithm");
  });
});

describe("header", () => {
  const stranger = createTestSigningKey("stranger", "RS256");

  test("a key that the token brings along is refused, not used", async () => {
    const forged = { kid: "stranger", jwk: stranger.publicJwk };
    expect(await outcome(token(forged, {}, stranger))).toBe("header");
    expect(await outcome(token({ jwk: stranger.publicJwk }, {}, stranger))).toBe("header");
  });

  test.each(["jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc", "cty", "p2c", "anything"])(
    "the member %s is refused, whatever it holds",
    async (name) => {
      for (const value of ["https://evil.test/keys", ["exp"], true, null, {}]) {
        expect(await outcome(token({ [name]: value }))).toBe("header");
      }
    },
  );

  test("certificate thumbprints only name, and are allowed", async () => {
    expect(await outcome(token({ x5t: "AAAA", "x5t#S256": "AAAA" }))).toBe("vouched");
  });

  test.each(["JWT", "jwt", "application/jwt", undefined])("typ %j is a plain JWT", async (typ) => {
    expect(await outcome(token({ typ }))).toBe("vouched");
  });

  test.each([
    "at+jwt",
    "application/at+jwt",
    "dpop+jwt",
    "secevent+jwt",
    "logout+jwt",
    "client-authentication+jwt",
    "wit+jwt",
    "JOSE",
    "",
    7,
    null,
  ])("typ %j is another kind of token", async (typ) => {
    expect(await outcome(token({ typ }))).toBe("type");
  });

  test.each(["", " rsa", "rsa ", "r\u0000sa", "clé", "k".repeat(257), 7, null, ["rsa"]])(
    "kid %j is refused before it is looked for",
    async (kid) => {
      expect(await outcome(token({ kid }))).toBe("header");
    },
  );

  test.each(["../../etc/passwd", "' OR 1=1 --", "__proto__", "constructor"])(
    "kid %j is the name of no key",
    async (kid) => {
      expect(await outcome(token({ kid }))).toBe("unknown_key");
    },
  );

  test("a token without kid is for issuers with a single fitting key", async () => {
    expect(await outcome(token({ kid: undefined }))).toBe("vouched");
    const second = createTestSigningKey("rsa-2", "RS256");
    const roots = rootsWith({ jwks: { keys: [rsa.publicJwk, second.publicJwk] } });
    expect(await outcome(token({ kid: undefined }), roots)).toBe("unknown_key");
  });
});

describe("signature", () => {
  test("of another key under the same kid is refused", async () => {
    const stranger = createTestSigningKey("rsa", "RS256");
    expect(await outcome(token({}, {}, stranger))).toBe("signature");
  });

  test("over other bytes is refused", async () => {
    const [header, , signature] = token().split(".");
    const [, payload] = token({}, { sub: "admin" }).split(".");
    expect(await outcome(`${header}.${payload}.${signature}`)).toBe("signature");
  });

  test("missing or cut is refused", async () => {
    const [header, payload, signature] = token().split(".");
    expect(await outcome(`${header}.${payload}.`)).toBe("signature");
    expect(await outcome(`${header}.${payload}.${signature?.slice(0, 40)}`)).toBe("signature");
  });

  test("of zeros, which ECDSA once took for anything, is refused", async () => {
    const [header, payload] = token({ alg: "ES256", kid: "ec" }, {}, ec).split(".");
    const zeros = Buffer.alloc(64).toString("base64url");
    expect(await outcome(`${header}.${payload}.${zeros}`)).toBe("signature");
  });

  test("in DER instead of the fixed form is refused", async () => {
    const [header, payload] = token({ alg: "ES256", kid: "ec" }, {}, ec).split(".");
    const der = sign("sha256", Buffer.from(`${header}.${payload}`), ec.privateKey);
    expect(await outcome(`${header}.${payload}.${der.toString("base64url")}`)).toBe("signature");
  });
});

describe("issuer and subject", () => {
  test.each([
    `${ISSUER}/`,
    "https://IDP.test",
    "http://idp.test",
    "idp.test",
    "",
    7,
    null,
    undefined,
  ])("iss %j is another issuer", async (iss) => {
    expect(await outcome(token({}, { iss }))).toBe("unknown_issuer");
  });

  test("an issuer whose name ends in a slash is only matched with it", async () => {
    const roots = rootsWith({ issuer: `${ISSUER}/` });
    expect(await outcome(token({}, { iss: `${ISSUER}/` }), roots)).toBe("vouched");
    expect(await outcome(token(), roots)).toBe("unknown_issuer");
  });

  test.each(["", 7, null, undefined, "a\nb", "a\u0000", "\ud800", "s".repeat(1025), ["a"]])(
    "sub %j is refused",
    async (sub) => {
      expect(await outcome(token({}, { sub }))).toBe("subject");
    },
  );
});

describe("audience", () => {
  test.each([BROKER, [BROKER]])("aud %j is us", async (aud) => {
    expect(await outcome(token({}, { aud }))).toBe("vouched");
  });

  test.each([
    "https://other.test",
    `${BROKER}/`,
    `${BROKER}/token`,
    "HTTPS://broker.test",
    "*",
    "",
    undefined,
    null,
    7,
    [],
    [["https://broker.test"]],
    { "https://broker.test": true },
  ])("aud %j is somebody else", async (aud) => {
    expect(await outcome(token({}, { aud }))).toBe("audience");
  });

  test.each([
    [BROKER, "https://other.test"],
    ["https://other.test", BROKER],
    [BROKER, BROKER],
  ])("aud [%s, %s] is refused, unless the trust root allows others", async (...aud) => {
    expect(await outcome(token({}, { aud }))).toBe("audience");
    const roots = rootsWith({ unsafe_allow_other_audiences: true });
    expect(await outcome(token({}, { aud }), roots)).toBe("vouched");
  });

  test("a list with anything but text in it is refused, whoever else is allowed", async () => {
    const roots = rootsWith({ unsafe_allow_other_audiences: true });
    expect(await outcome(token({}, { aud: [BROKER, 7] }), roots)).toBe("audience");
  });

  test("a trust root may name another audience, which then replaces ours", async () => {
    const roots = rootsWith({ audience: "mayfly" });
    expect(await outcome(token({}, { aud: "mayfly" }), roots)).toBe("vouched");
    expect(await outcome(token(), roots)).toBe("audience");
  });
});

describe("time", () => {
  test("a token without exp never ends, and is refused", async () => {
    expect(await outcome(token({}, { exp: undefined }))).toBe("time");
  });

  test("a token without iat is refused", async () => {
    expect(await outcome(token({}, { iat: undefined }))).toBe("time");
  });

  test.each([
    ["exp just within the skew", { exp: now - 59 }, "vouched"],
    ["exp at the end of the skew", { exp: now - 60 }, "time"],
    ["nbf at the end of the skew", { nbf: now + 60 }, "vouched"],
    ["nbf past the skew", { nbf: now + 61 }, "time"],
    ["iat at the end of the skew", { iat: now + 60 }, "vouched"],
    ["iat past the skew", { iat: now + 61 }, "time"],
    ["iat as old as allowed, and the skew", { iat: now - 3660 }, "vouched"],
    ["iat older than that", { iat: now - 3661 }, "time"],
  ])("the skew has two edges: %s", async (_name, claims, expected) => {
    expect(await outcome(token({}, claims))).toBe(expected);
  });

  test.each(["exp", "nbf", "iat"])("%s as anything but a time is refused", async (name) => {
    for (const value of ["1767225900", null, -1, 1e300, [now], true]) {
      expect(await outcome(token({}, { [name]: value }))).toBe("time");
    }
  });

  test("a year-long token is refused by its age, not by its end", async () => {
    const yearLong = { iat: now - 86_400, exp: now + 364 * 86_400 };
    expect(await outcome(token({}, yearLong))).toBe("time");
    expect(await outcome(token({}, { ...yearLong, iat: now }))).toBe("vouched");
  });
});

describe("claims", () => {
  test("a token that is bound to a key is refused: nothing here proves that key", async () => {
    expect(await outcome(token({}, { cnf: { jkt: "AAAA" } }))).toBe("bound_token");
  });

  test("a one-time root's token needs a jti, which is remembered through the skew", async () => {
    const roots = rootsWith({ one_time_tokens: true });
    const identity = await verify(token({}, { jti: "j-1" }), roots);
    const expiresAt = (now + 300 + 61) * 1000;
    expect(identity.oneTime).toEqual({ issuer: ISSUER, jti: "j-1", expiresAt });
    // Its age ends it sooner than an exp that is far away, and with it what is remembered.
    const far = await verify(token({}, { jti: "j-2", iat: now - 10, exp: 9_000_000_000 }), roots);
    expect(far.oneTime?.expiresAt).toBe((now - 10 + 3600 + 61) * 1000);
    for (const jti of [undefined, "", 7, "a\nb"]) {
      expect(await outcome(token({}, { jti }), roots)).toBe("claims");
    }
  });

  test("a required claim is equal in type and value", async () => {
    const roots = rootsWith({ required_claims: { "/a.b/flag": true, tier: "gold" } });
    const sound = { "a.b": { flag: true }, tier: "gold" };
    expect(await outcome(token({}, sound), roots)).toBe("vouched");
    expect(await outcome(token({}, { ...sound, "a.b": { flag: "true" } }), roots)).toBe("claims");
    expect(await outcome(token({}, { tier: "gold" }), roots)).toBe("claims");
    expect(await outcome(token({}, { ...sound, tier: "Gold" }), roots)).toBe("claims");
  });

  test("every declared attribute is required, and carries its stability", async () => {
    const roots = rootsWith({
      attributes: {
        repository_id: { claim: "repository_id", stability: "immutable" },
        repository: { claim: "/nested/repository", stability: "mutable" },
      },
    });
    const sound = { repository_id: 42, nested: { repository: "acme/pay" } };
    const identity = await verify(token({}, sound), roots);
    expect(identity.workload.attributes).toEqual({
      repository_id: { value: "42", stability: "immutable" },
      repository: { value: "acme/pay", stability: "mutable" },
    });
    for (const repository_id of [undefined, null, {}, [42], 4.2, "a\nb", "x".repeat(1025)]) {
      expect(await outcome(token({}, { ...sound, repository_id }), roots)).toBe("attributes");
    }
  });
});

test("no error, however deep it is looked into, shows what the token said", async () => {
  const canary = "canary-7c1d";
  const texts = [
    token({ kid: canary }),
    token({ typ: canary }),
    token({ [canary]: 1 }),
    token({}, { aud: canary }),
    token({}, { iss: canary }),
    token({}, { exp: canary }),
    `${canary}.${canary}.${canary}`,
    token({}, { sub: `${canary}\n` }),
  ];
  for (const text of texts) {
    const error: unknown = await verify(text).catch((thrown: unknown) => thrown);
    expect(BrokerError.is(error)).toBe(true);
    const shown = inspect(error, { depth: 12, showHidden: true, maxStringLength: null });
    expect(shown).not.toContain(canary);
    expect(shown).not.toContain(text.split(".")[1]);
  }
});
