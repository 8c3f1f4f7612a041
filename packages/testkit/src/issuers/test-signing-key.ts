import { constants, createHmac, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import type { JsonObject } from "@mayfly/spec";

export const TEST_ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
] as const;
export type TestAlgorithm = (typeof TEST_ALGORITHMS)[number];

export interface TestSigningKey {
  readonly kid: string;
  readonly algorithm: TestAlgorithm;
  readonly privateKey: KeyObject;
  /** With `kid`, `alg` and `use: sig`. */
  readonly publicJwk: JsonObject;
}

/** A real key. RSA takes a tenth of a second to make: prefer ES256. */
export function createTestSigningKey(
  kid: string,
  algorithm: TestAlgorithm = "ES256",
  rsaBits = 2048,
): TestSigningKey {
  const { publicKey, privateKey } = generate(algorithm, rsaBits);
  const numbers = publicKey.export({ format: "jwk" });
  const members = Object.entries(numbers).filter(([, value]) => typeof value === "string");
  return {
    kid,
    algorithm,
    privateKey,
    publicJwk: { ...Object.fromEntries(members), kid, alg: algorithm, use: "sig" },
  };
}

function generate(
  algorithm: TestAlgorithm,
  rsaBits: number,
): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  switch (algorithm) {
    case "ES256":
      return generateKeyPairSync("ec", { namedCurve: "P-256" });
    case "ES384":
      return generateKeyPairSync("ec", { namedCurve: "P-384" });
    case "ES512":
      return generateKeyPairSync("ec", { namedCurve: "P-521" });
    case "EdDSA":
      return generateKeyPairSync("ed25519");
    default:
      return generateKeyPairSync("rsa", { modulusLength: rsaBits });
  }
}

/** A compact JWS over exactly this header and payload: nothing is added, checked or reordered. */
export function signCompact(key: TestSigningKey, header: unknown, payload: unknown): string {
  return signText(key, JSON.stringify(header), JSON.stringify(payload));
}

/** As {@link signCompact}, over any text, JSON or not. */
export function signText(key: TestSigningKey, header: string, payload: string): string {
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${signature(key, Buffer.from(input)).toString("base64url")}`;
}

/** What a confused verifier would accept: an HMAC with a public key's text as the secret. */
export function hmacCompact(
  secret: string | Uint8Array,
  header: unknown,
  payload: unknown,
): string {
  const input = `${encode(JSON.stringify(header))}.${encode(JSON.stringify(payload))}`;
  return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`;
}

/** A compact JWS without a signature. */
export function unsignedCompact(header: unknown, payload: unknown): string {
  return `${encode(JSON.stringify(header))}.${encode(JSON.stringify(payload))}.`;
}

const encode = (text: string): string => Buffer.from(text).toString("base64url");

function signature({ algorithm, privateKey }: TestSigningKey, input: Buffer): Buffer {
  const digest = `sha${algorithm.slice(2)}`;
  switch (algorithm) {
    case "EdDSA":
      return sign(null, input, privateKey);
    case "ES256":
    case "ES384":
    case "ES512":
      return sign(digest, input, { key: privateKey, dsaEncoding: "ieee-p1363" });
    case "PS256":
    case "PS384":
    case "PS512":
      return sign(digest, input, {
        key: privateKey,
        padding: constants.RSA_PKCS1_PSS_PADDING,
        saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
      });
    default:
      return sign(digest, input, privateKey);
  }
}
