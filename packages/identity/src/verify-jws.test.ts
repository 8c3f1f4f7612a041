import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { CompactSign, compactVerify } from "jose";
import { describe, expect, test } from "vitest";
import { BACKEND_KEY_ALGORITHMS } from "@mayfly/spec";
import { KEY_OF_ALGORITHM, type Algorithm } from "./algorithms.ts";
import { keyThumbprint } from "./jwk-thumbprint.ts";
import { signJwt } from "./sign-jwt.ts";
import { verifyJws } from "./verify-jws.ts";

interface Pair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}
const RSA = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ED25519 = generateKeyPairSync("ed25519");
const CURVES = {
  "P-256": generateKeyPairSync("ec", { namedCurve: "P-256" }),
  "P-384": generateKeyPairSync("ec", { namedCurve: "P-384" }),
  "P-521": generateKeyPairSync("ec", { namedCurve: "P-521" }),
} as const;

function pairFor(algorithm: Algorithm): Pair {
  const { kty, crv } = KEY_OF_ALGORITHM[algorithm];
  if (kty === "RSA") return RSA;
  return crv === "Ed25519" ? ED25519 : CURVES[crv];
}
const ALGORITHMS = Object.keys(KEY_OF_ALGORITHM) as readonly Algorithm[];

/** By another implementation than ours. */
const signedByJose = (alg: Algorithm, { privateKey } = pairFor(alg)): Promise<string> =>
  new CompactSign(Buffer.from(`{"for":"${alg}"}`)).setProtectedHeader({ alg }).sign(privateKey);

describe.each(ALGORITHMS)("%s", (algorithm) => {
  const { publicKey } = pairFor(algorithm);

  test("what another implementation signs is verified", async () => {
    expect(await verifyJws(await signedByJose(algorithm), publicKey, algorithm)).toBe(true);
  });

  test("a changed payload, header or signature is refused", async () => {
    const [header = "", payload = "", signature = ""] = (await signedByJose(algorithm)).split(".");
    const other = Buffer.from("{}").toString("base64url");
    const flipped = Buffer.from(signature, "base64url");
    flipped[10] = (flipped[10] ?? 0) ^ 1;
    const changed = [
      `${header}.${other}.${signature}`,
      `${other}.${payload}.${signature}`,
      `${header}.${payload}.${flipped.toString("base64url")}`,
      `${header}.${payload}.${signature.slice(0, -4)}`,
      `${header}.${payload}.`,
    ];
    for (const compact of changed) {
      expect(await verifyJws(compact, publicKey, algorithm)).toBe(false);
    }
  });

  test("a key of another kind is none for it", async () => {
    const compact = await signedByJose(algorithm);
    const kinds = [RSA, ED25519, ...Object.values(CURVES)];
    for (const { publicKey: other } of kinds.filter((pair) => pair.publicKey !== publicKey)) {
      await expect(verifyJws(compact, other, algorithm)).rejects.toThrow(`none for ${algorithm}`);
    }
  });
});

test("a signature of ECDSA as DER is refused: a JWS has R and S as they are", async () => {
  const { publicKey } = CURVES["P-256"];
  const [header = "", payload = "", signature = ""] = (await signedByJose("ES256")).split(".");
  const half = (from: number): Buffer => {
    const bytes = Buffer.from(signature, "base64url").subarray(from, from + 32);
    const positive = (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes;
    return Buffer.concat([Buffer.of(0x02, positive.length), positive]);
  };
  const body = Buffer.concat([half(0), half(32)]);
  const der = Buffer.concat([Buffer.of(0x30, body.length), body]).toString("base64url");
  expect(await verifyJws(`${header}.${payload}.${der}`, publicKey, "ES256")).toBe(false);
});

test.each(BACKEND_KEY_ALGORITHMS)(
  "what is signed here with %s is verified by another implementation",
  async (alg) => {
    const { publicKey, privateKey } = pairFor(alg);
    const claims = { sub: "ä", n: 1, left: undefined };
    const text = signJwt({ alg, kid: "k", typ: "at+jwt" }, claims, privateKey);
    const { payload, protectedHeader } = await compactVerify(text, publicKey);
    expect(JSON.parse(Buffer.from(payload).toString())).toEqual({ sub: "ä", n: 1 });
    expect(protectedHeader).toEqual({ alg, kid: "k", typ: "at+jwt" });
  },
);

test("a thumbprint is that of the example in RFC 7638", () => {
  const n =
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECP" +
    "ebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Qvz" +
    "qY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZ" +
    "u0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
  const key = createPublicKey({ key: { kty: "RSA", e: "AQAB", n }, format: "jwk" });
  expect(keyThumbprint(key)).toBe("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
});
