import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { BrokerError, instantMs, plusSeconds, Secret, type PresentedProof } from "@mayfly/spec";
import {
  createFakeClock,
  createFakeSealer,
  createMemoryLedger,
  createTestDpopKey,
  createTestSigningKey,
  hmacCompact,
  signCompact,
  unsignedCompact,
  type DpopProofChange,
} from "@mayfly/testkit";
import { createDpopProofs, DPOP_ALGORITHMS } from "./dpop-proofs.ts";

const ISSUER = "https://broker.test/eu";
const URL_OF_TOKEN = `${ISSUER}/token`;

function setUp({ nonceRequired = false, issuer = ISSUER } = {}) {
  const clock = createFakeClock();
  const { proofUses } = createMemoryLedger(clock);
  const settings = { skewSeconds: 5, nonceRequired };
  const make = () =>
    createDpopProofs({ issuer, uses: proofUses, sealer: createFakeSealer(), settings });
  const proofs = make();
  const key = createTestDpopKey(clock);
  const check = (proof: string, change: Partial<PresentedProof> = {}) =>
    proofs.check({ proof, method: "POST", path: "/token", token: null, ...change }, clock.now());
  /** A proof that is good but for the change. */
  const changed = (change: DpopProofChange) => check(key.proof("POST", URL_OF_TOKEN, null, change));
  return { clock, proofs, make, key, check, changed };
}

const refusalOf = async (checked: Promise<unknown>): Promise<string> => {
  const error: unknown = await checked.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!BrokerError.is(error)) throw new Error(`expected a refusal, got ${String(error)}`);
  return error.code;
};

describe("a DPoP proof", () => {
  test("shows the key that signed it, by its thumbprint", async () => {
    const { key, check } = setUp();
    const proven = await check(key.proof("POST", URL_OF_TOKEN));
    expect(proven.confirmation).toBe(key.thumbprint);
  });

  test.each(["ES256", "EdDSA", "PS256", "RS256"] as const)("may be signed with %s", async (alg) => {
    const { clock, check } = setUp();
    const key = createTestDpopKey(clock, alg);
    const proven = await check(key.proof("POST", URL_OF_TOKEN));
    expect(proven.confirmation).toBe(key.thumbprint);
  });

  test("names Ed25519 by either of its names", async () => {
    const { clock, check } = setUp();
    const key = createTestDpopKey(clock, "EdDSA");
    const proof = key.proof("POST", URL_OF_TOKEN, null, { header: { alg: "Ed25519" } });
    expect((await check(proof)).confirmation).toBe(key.thumbprint);
    expect(DPOP_ALGORITHMS.filter((alg) => /^(?:none|HS)/i.test(alg))).toEqual([]);
  });

  test.each([
    ["the typ of a JWT", { header: { typ: "JWT" } }],
    ["no typ", { header: { typ: undefined } }],
    ["the typ of a task token", { header: { typ: "at+jwt" } }],
    ["the algorithm none", { header: { alg: "none" } }],
    ["another algorithm than its key's", { header: { alg: "RS256" } }],
    ["an algorithm that is dear to verify", { header: { alg: "ES512" } }],
    ["no jwk", { header: { jwk: undefined } }],
    ["a jwk that is text", { header: { jwk: "x" } }],
    ["a jwk of nothing", { header: { jwk: {} } }],
    ["a crit header", { header: { crit: ["b64"], b64: false } }],
    ["a jku", { header: { jku: "https://evil.test" } }],
    ["no htm", { claims: { htm: undefined } }],
    ["another method", { claims: { htm: "GET" } }],
    ["the method in lower case", { claims: { htm: "post" } }],
    ["no htu", { claims: { htu: undefined } }],
    ["another path", { claims: { htu: `${ISSUER}/v1/explain` } }],
    ["another host", { claims: { htu: "https://other.test/eu/token" } }],
    ["another port", { claims: { htu: "https://broker.test:8443/eu/token" } }],
    ["another scheme", { claims: { htu: "http://broker.test/eu/token" } }],
    ["a user in the URL", { claims: { htu: "https://a@broker.test/eu/token" } }],
    ["a path alone", { claims: { htu: "/eu/token" } }],
    ["the path without the issuer's", { claims: { htu: "https://broker.test/token" } }],
    ["no iat", { claims: { iat: undefined } }],
    ["an iat that is text", { claims: { iat: "1700000000" } }],
    ["an exp that has passed", { claims: { exp: 1_000 } }],
    ["an exp that is text", { claims: { exp: "9999999999" } }],
    ["an nbf that is to come", { claims: { nbf: 9_999_999_999 } }],
    ["an escaped slash", { claims: { htu: "https://broker.test/eu%2Ftoken" } }],
    ["no jti", { claims: { jti: undefined } }],
    ["an empty jti", { claims: { jti: "" } }],
    ["a jti of 257 characters", { claims: { jti: "x".repeat(257) } }],
    ["a jti with a space", { claims: { jti: "a b" } }],
  ] satisfies readonly [string, DpopProofChange][])("with %s is refused", async (_what, change) => {
    const { changed } = setUp();
    expect(await refusalOf(changed(change))).toBe("invalid_dpop_proof");
  });

  test.each([
    ["query and fragment", `${URL_OF_TOKEN}?a=b#c`],
    ["the default port", "https://broker.test:443/eu/token"],
    ["a host in capitals", "HTTPS://BROKER.TEST/eu/token"],
    ["dots in its path", "https://broker.test/eu/x/../token"],
    ["escapes of what needs none", "https://broker.test/%65u/%74oken"],
  ])("may spell its URL with %s", async (_what, htu) => {
    const { key, changed } = setUp();
    expect((await changed({ claims: { htu } })).confirmation).toBe(key.thumbprint);
  });

  test("counts from a little before its iat until a minute after", async () => {
    const { clock, changed } = setUp();
    const at = (seconds: number) => changed({ claims: { iat: clock.now() / 1000 + seconds } });
    await at(5);
    await at(-65);
    expect(await refusalOf(at(5.5))).toBe("invalid_dpop_proof");
    expect(await refusalOf(at(-65.5))).toBe("invalid_dpop_proof");
  });

  test("may say until when, and from when, it counts", async () => {
    const { clock, changed } = setUp();
    const now = clock.now() / 1000;
    for (const claims of [{ exp: now + 60 }, { nbf: now }, { exp: now - 4, nbf: now + 4 }]) {
      await changed({ claims });
    }
    expect(await refusalOf(changed({ claims: { exp: now - 5 } }))).toBe("invalid_dpop_proof");
    expect(await refusalOf(changed({ claims: { nbf: now + 6 } }))).toBe("invalid_dpop_proof");
  });

  test("with two of them in one header is refused", async () => {
    const { key, check } = setUp();
    const [one, other] = [key.proof("POST", URL_OF_TOKEN), key.proof("POST", URL_OF_TOKEN)];
    for (const both of [`${one}, ${other}`, `${one},${other}`, `${one} ${other}`, ""]) {
      expect(await refusalOf(check(both))).toBe("invalid_dpop_proof");
    }
  });

  test("that shows its private key is refused: it is anybody's", async () => {
    const { key, changed } = setUp();
    const d = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({
      format: "jwk",
    }).d;
    const jwk = { ...key.publicJwk, d };
    expect(await refusalOf(changed({ header: { jwk } }))).toBe("invalid_dpop_proof");
  });

  test("signed with a symmetric key, or not at all, is refused", async () => {
    const { clock, key, check } = setUp();
    const iat = Math.floor(clock.now() / 1000);
    const claims = { jti: "x", htm: "POST", htu: URL_OF_TOKEN, iat };
    const jwk = { kty: "oct", k: "c2VjcmV0" };
    const symmetric = hmacCompact("secret", { typ: "dpop+jwt", alg: "HS256", jwk }, claims);
    const header = { typ: "dpop+jwt", alg: "none", jwk: key.publicJwk };
    for (const proof of [symmetric, unsignedCompact(header, claims)]) {
      expect(await refusalOf(check(proof))).toBe("invalid_dpop_proof");
    }
  });

  test("signed by another key than its jwk is refused", async () => {
    const { clock, key, check } = setUp();
    const claims = { jti: "x", htm: "POST", htu: URL_OF_TOKEN, iat: clock.now() / 1000 };
    const header = { typ: "dpop+jwt", alg: "ES256", jwk: key.publicJwk };
    const forged = signCompact(createTestSigningKey("other"), header, claims);
    expect(await refusalOf(check(forged))).toBe("invalid_dpop_proof");
  });

  test("with an RSA key that is too short or too long is refused", async () => {
    const { clock, check } = setUp();
    const signer = createTestSigningKey("rsa", "RS256", 2048);
    const claims = { jti: "x", htm: "POST", htu: URL_OF_TOKEN, iat: clock.now() / 1000 };
    // Of a modulus nobody has the factors: to make a key of that length takes seconds.
    for (const [bits, why] of [
      [1024, "no public key of its alg that is accepted"],
      [4096, "its signature does not verify"],
      [6144, "no public key of its alg that is accepted"],
    ] as const) {
      const n = Buffer.alloc(bits / 8, 0xb5).toString("base64url");
      const header = { typ: "dpop+jwt", alg: "RS256", jwk: { kty: "RSA", n, e: "AQAB" } };
      const proof = signCompact(signer, header, claims);
      await expect(check(proof)).rejects.toMatchObject({
        code: "invalid_dpop_proof",
        message: expect.stringContaining(why) as unknown,
      });
    }
  });

  test("with a token needs that token's hash", async () => {
    const { key, check } = setUp();
    const token = Secret.of("a-task-token");
    const good = key.proof("POST", URL_OF_TOKEN, "a-task-token");
    expect((await check(good, { token })).confirmation).toBe(key.thumbprint);
    for (const bad of [
      key.proof("POST", URL_OF_TOKEN),
      key.proof("POST", URL_OF_TOKEN, "another-token"),
      key.proof("POST", URL_OF_TOKEN, null, { claims: { ath: "a-task-token" } }),
    ]) {
      expect(await refusalOf(check(bad, { token }))).toBe("invalid_dpop_proof");
    }
  });

  test("longer than 4 KiB is not looked at", async () => {
    const { changed } = setUp();
    const long = changed({ claims: { more: "x".repeat(4096) } });
    expect(await refusalOf(long)).toBe("invalid_dpop_proof");
  });
});

describe("the use of a proof", () => {
  test("counts once, in every broker, however often one request asks", async () => {
    const { clock, key, check, make } = setUp();
    const proof = key.proof("POST", URL_OF_TOKEN);
    const first = await check(proof);
    await first.spend();
    await first.spend();
    const presented = { proof, method: "POST", path: "/token", token: null };
    const elsewhere = await make().check(presented, clock.now());
    expect(await refusalOf(elsewhere.spend())).toBe("invalid_dpop_proof");
  });

  test("is of its key: the jti of another's proof takes nothing from it", async () => {
    const { clock, key, check } = setUp();
    const claims = { jti: "the-same" };
    await (await check(key.proof("POST", URL_OF_TOKEN, null, { claims }))).spend();
    const other = createTestDpopKey(clock);
    const theirs = await check(other.proof("POST", URL_OF_TOKEN, null, { claims }));
    await expect(theirs.spend()).resolves.toBeUndefined();
  });

  test("is remembered for longer than any broker accepts the proof", async () => {
    const { clock, key, check } = setUp();
    const ahead = Math.floor(clock.now() / 1000) + 5;
    const proof = key.proof("POST", URL_OF_TOKEN, null, { claims: { iat: ahead } });
    await (await check(proof)).spend();
    await clock.advance(69_000);
    expect(await refusalOf((await check(proof)).spend())).toBe("invalid_dpop_proof");
    await clock.advance(2_000);
    expect(await refusalOf(check(proof))).toBe("invalid_dpop_proof");
  });
});

describe("brokers whose clocks differ as far as they may", () => {
  test("take a proof once: its use is remembered until the last of them refuses it by its age", async () => {
    const { clock, key, make } = setUp();
    const [ahead, behind] = [make(), make()];
    const trueNow = clock.now() / 1000;
    // Of the future, and good at the broker that is ahead.
    const proof = key.proof("POST", URL_OF_TOKEN, null, { claims: { iat: trueNow + 10 } });
    const presented = { proof, method: "POST", path: "/token", token: null };
    await (await ahead.check(presented, plusSeconds(clock.now(), 5))).spend();
    let replays = 0;
    for (let second = 0; second <= 90; second++) {
      const now = plusSeconds(clock.now(), -5);
      const checked = behind.check(presented, now);
      const isOfAge = await checked.then(
        () => true,
        () => false,
      );
      if (isOfAge) {
        replays++;
        expect([second, await refusalOf((await checked).spend())]).toEqual([
          second,
          "invalid_dpop_proof",
        ]);
      }
      await clock.advance(1000);
    }
    // From when it is no more of the future there until it is too old there.
    expect(replays).toBe(71);
  });
});

describe("a nonce", () => {
  test("is asked for only where the setting says so", async () => {
    const { clock, key, check, proofs } = setUp();
    expect(proofs.nonce(clock.now())).toBeNull();
    await check(key.proof("POST", URL_OF_TOKEN));
  });

  test("is of every broker, and is good while it or the next one is given", async () => {
    const { clock, make, changed } = setUp({ nonceRequired: true });
    const nonce = make().nonce(clock.now());
    await changed({ claims: { nonce } });
    await clock.advance(5 * 60_000);
    expect(make().nonce(clock.now())).not.toBe(nonce);
    await changed({ claims: { nonce } });
    await clock.advance(5 * 60_000);
    expect(await refusalOf(changed({ claims: { nonce } }))).toBe("use_dpop_nonce");
  });

  test("of a broker whose clock is a little ahead is good", async () => {
    const { clock, key, make, changed } = setUp({ nonceRequired: true });
    const nonce = make().nonce(plusSeconds(clock.now(), 300));
    expect((await changed({ claims: { nonce } })).confirmation).toBe(key.thumbprint);
  });

  test("that is missing, made up or another slot's is refused", async () => {
    const { clock, proofs, changed } = setUp({ nonceRequired: true });
    const good = proofs.nonce(clock.now()) ?? "";
    const [slot = "", tag = ""] = good.split(".");
    const old = proofs.nonce(instantMs(clock.now() - 600_000));
    const moved = `${Number(slot) + 1}.${tag}`;
    for (const nonce of [undefined, "", 1, `${slot}.${"0".repeat(64)}`, slot, moved, old]) {
      expect(await refusalOf(changed({ claims: { nonce } }))).toBe("use_dpop_nonce");
    }
  });
});
