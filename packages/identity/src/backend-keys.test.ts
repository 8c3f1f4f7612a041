import { createPublicKey, verify } from "node:crypto";
import { createLocalJWKSet, jwtVerify, SignJWT, type JSONWebKeySet } from "jose";
import { beforeEach, describe, expect, test } from "vitest";
import {
  BACKEND_KEY_ALGORITHMS,
  BrokerError,
  NotKnownYet,
  parseBackendId,
  Secret,
  type BackendKeys,
  type SigningKeyStore,
} from "@mayfly/spec";
import {
  createFakeClock,
  createFakeSealer,
  createFakeSigningKeyStore,
  seededRandom,
  type FakeClock,
} from "@mayfly/testkit";
import {
  createBackendKeyAdministration,
  createBackendKeys,
  type BackendKeysOptions,
} from "./backend-keys.ts";
import { createTaskTokens } from "./task-tokens.ts";

const SETTINGS = {
  tokenSecondsMax: 1200,
  keySignsSeconds: 30 * 86_400,
  publishAheadSeconds: 3600,
  skewSeconds: 60,
};
const TYPE = "at+jwt";

let clock: FakeClock;
let store: SigningKeyStore;
beforeEach(() => {
  clock = createFakeClock();
  store = createFakeSigningKeyStore();
});

const sealer = createFakeSealer();
const optionsOf = (backend: string, from = store): BackendKeysOptions => ({
  backendId: parseBackendId(backend, "backend"),
  store: from,
  sealer,
  clock,
  random: seededRandom(backend),
  settings: SETTINGS,
});
const keysOf = (backend: string, from = store): BackendKeys =>
  createBackendKeys(optionsOf(backend, from));

async function jwksOf(keys: BackendKeys): Promise<JSONWebKeySet> {
  const published = await keys.published();
  return {
    keys: published.map((key) => ({
      ...key,
      kty: key["kty"] === "RSA" ? "RSA" : key["kty"] === "EC" ? "EC" : "OKP",
    })),
  };
}

describe("keys of a backend", () => {
  test.each(BACKEND_KEY_ALGORITHMS.map((algorithm) => ({ algorithm })))(
    "sign with $algorithm what any verifier of the published keys accepts",
    async ({ algorithm }) => {
      const keys = keysOf("orders-api");
      await keys.rotate(algorithm, clock.now());
      const token = await keys.sign(TYPE, { aud: "https://orders.test", n: 1 });
      const jwks = await jwksOf(keys);
      expect(jwks.keys).toHaveLength(1);
      expect(jwks.keys[0]).not.toHaveProperty("d");
      expect(() => createPublicKey({ key: { ...jwks.keys[0]! }, format: "jwk" })).not.toThrow();
      const verified = await jwtVerify(token.expose("reply"), createLocalJWKSet(jwks), {
        typ: TYPE,
        algorithms: [algorithm],
      });
      expect(verified.payload).toEqual({ aud: "https://orders.test", n: 1 });
      expect(await keys.verify(TYPE, token)).toEqual({ aud: "https://orders.test", n: 1 });
    },
  );

  test("of another algorithm come next, published ahead, and the old one verifies on", async () => {
    const keys = keysOf("orders-api");
    await keys.rotate("ES256", clock.now());
    const old = await keys.sign(TYPE, { n: 1 });
    await keys.rotate("EdDSA", clock.now());
    await keys.rotate("EdDSA", clock.now());
    expect((await jwksOf(keys)).keys.map(({ alg }) => alg)).toEqual(["ES256", "EdDSA"]);
    expect(algorithmIn(await keys.sign(TYPE, { n: 2 }))).toBe("ES256");
    await clock.advance(3_600_000);
    expect(algorithmIn(await keys.sign(TYPE, { n: 3 }))).toBe("EdDSA");
    expect(await keys.verify(TYPE, old)).toEqual({ n: 1 });
    await clock.advance((SETTINGS.tokenSecondsMax + 2 * SETTINGS.skewSeconds) * 1000);
    expect(await keys.verify(TYPE, old)).toBeNull();
    expect((await jwksOf(keys)).keys.map(({ alg }) => alg)).toEqual(["EdDSA"]);
  });

  test.each(BACKEND_KEY_ALGORITHMS.map((algorithm) => ({ algorithm })))(
    "are authorities that sign any bytes with $algorithm, the next one before its time too",
    async ({ algorithm }) => {
      const keys = keysOf("orders-ca");
      await keys.rotate(algorithm, clock.now());
      await clock.advance((SETTINGS.keySignsSeconds - SETTINGS.publishAheadSeconds) * 1000);
      await keys.rotate(algorithm, clock.now());
      const authorities = await keys.authorities();
      expect(authorities.map(({ signsFromAt }) => signsFromAt <= clock.now())).toEqual([
        true,
        false,
      ]);
      const bytes = Buffer.from("to be signed");
      for (const authority of authorities) {
        const signature = await authority.sign(bytes);
        const publicKey = createPublicKey({ key: { ...authority.publicJwk }, format: "jwk" });
        const digest = algorithm === "EdDSA" ? null : "sha256";
        expect(verify(digest, bytes, publicKey, signature)).toBe(true);
        expect(verify(digest, Buffer.from("another"), publicKey, signature)).toBe(false);
      }
    },
  );

  test("of one backend verify nothing of another's, nor a task token", async () => {
    const [mine, theirs] = [keysOf("orders-api"), keysOf("billing", createFakeSigningKeyStore())];
    await mine.rotate("ES256", clock.now());
    await theirs.rotate("ES256", clock.now());
    const taskTokens = createTaskTokens({
      issuer: "https://broker.test",
      store: createFakeSigningKeyStore(),
      sealer,
      clock,
      random: seededRandom("tokens"),
      settings: { ...SETTINGS, tokenSecondsMax: 600 },
    });
    await taskTokens.rotate(clock.now());
    const token = await mine.sign(TYPE, { n: 1 });
    expect(await theirs.verify(TYPE, token)).toBeNull();
    await expect(taskTokens.verify(token, clock.now())).rejects.toMatchObject({
      code: "unauthenticated",
    });
  });

  test("whose private half was sealed for another backend cannot be used by this one", async () => {
    await keysOf("orders-api").rotate("ES256", clock.now());
    await expect(keysOf("billing").sign(TYPE, { n: 1 })).rejects.toThrow(/\w/);
    await expect(keysOf("orders-api").sign(TYPE, { n: 1 })).resolves.toBeInstanceOf(Secret);
  });

  test("refuse another typ, no kid, another algorithm, and what is no token", async () => {
    const keys = keysOf("orders-api");
    await keys.rotate("ES256", clock.now());
    const token = await keys.sign(TYPE, { n: 1 });
    expect(await keys.verify("jwt", token)).toBeNull();
    const [, payload] = token.expose("reply").split(".");
    const secret = new TextEncoder().encode("x".repeat(32));
    const kid = (await jwksOf(keys)).keys[0]!.kid!;
    const forged = [
      await new SignJWT({ n: 1 }).setProtectedHeader({ alg: "HS256", kid, typ: TYPE }).sign(secret),
      `${Buffer.from(JSON.stringify({ alg: "none", kid, typ: TYPE })).toString("base64url")}.${payload}.`,
      "no token at all",
    ];
    for (const text of forged) expect(await keys.verify(TYPE, Secret.of(text))).toBeNull();
  });

  test("read for an end what they signed, retired or not, and nothing of anybody else", async () => {
    const keys = keysOf("orders-api");
    await keys.rotate("ES256", clock.now());
    const token = await keys.sign(TYPE, { n: 1 });
    const [header = "", payload = "", signature = ""] = token.expose("reply").split(".");
    const administration = createBackendKeyAdministration(optionsOf("orders-api"));
    const [signing] = await administration.list();
    await administration.retire(signing!.kid, { kind: "administrator", name: "alice" });
    await clock.advance(6000);
    expect(await keys.verify(TYPE, token)).toBeNull();
    expect(await keys.verifyForEnd(TYPE, token)).toEqual({ n: 1 });
    const other = Buffer.from(JSON.stringify({ n: 2 })).toString("base64url");
    const forged = [
      `${header}.${other}.${signature}`,
      `${header}.${payload}.${"A".repeat(86)}`,
      `${header}.${payload}.`,
      "no token at all",
    ];
    for (const text of forged) {
      expect(await keys.verifyForEnd(TYPE, Secret.of(text))).toBeNull();
    }
    expect(await keys.verifyForEnd("jwt", token)).toBeNull();
  });

  test("that nobody here has are asked for once in a second, and not known meanwhile", async () => {
    const [mine, theirs] = [keysOf("orders-api"), keysOf("billing", createFakeSigningKeyStore())];
    await mine.rotate("ES256", clock.now());
    await theirs.rotate("ES256", clock.now());
    const strange = await theirs.sign(TYPE, { n: 1 });
    await clock.advance(10);
    expect(await mine.verifyForEnd(TYPE, strange)).toBeNull();
    await clock.advance(10);
    await expect(mine.verifyForEnd(TYPE, strange)).rejects.toBeInstanceOf(NotKnownYet);
    await clock.advance(1000);
    expect(await mine.verifyForEnd(TYPE, strange)).toBeNull();
  });

  test("are published without the ledger while a token of theirs may live, leeway included", async () => {
    let isAway = false;
    const cutOff = keysOf("orders-api", {
      ...store,
      list: async () => {
        if (isAway) throw new BrokerError("ledger_unavailable", "The ledger is away.");
        return store.list();
      },
    });
    await cutOff.rotate("ES256", clock.now());
    const token = await cutOff.sign(TYPE, { n: 1 });
    isAway = true;
    await clock.advance(SETTINGS.tokenSecondsMax * 1000);
    const jwks = createLocalJWKSet(await jwksOf(cutOff));
    await expect(jwtVerify(token.expose("reply"), jwks)).resolves.toMatchObject({
      payload: { n: 1 },
    });
    await clock.advance(1);
    await expect(cutOff.published()).rejects.toMatchObject({ code: "ledger_unavailable" });
  });

  test("that the ledger cannot show are no refusal of a token", async () => {
    const keys = keysOf("orders-api");
    await keys.rotate("ES256", clock.now());
    const token = await keys.sign(TYPE, { n: 1 });
    const away = keysOf("orders-api", {
      ...store,
      list: async () => {
        throw new BrokerError("ledger_unavailable", "The ledger is away.");
      },
    });
    await expect(away.verify(TYPE, token)).rejects.toMatchObject({ code: "ledger_unavailable" });
  });
});

function algorithmIn(token: Secret): unknown {
  const [header = ""] = token.expose("reply").split(".");
  return Object.entries(
    JSON.parse(Buffer.from(header, "base64url").toString()) as Record<string, unknown>,
  ).find(([name]) => name === "alg")?.[1];
}
