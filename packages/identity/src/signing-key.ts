import {
  createECDH,
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
} from "node:crypto";
import { promisify } from "node:util";
import type { BackendKeyAlgorithm, JsonObject, Random } from "@mayfly/spec";

export interface NewSigningKey {
  /** RFC 7638 thumbprint of the public key. */
  readonly kid: string;
  readonly publicJwk: JsonObject;
  readonly privateJwk: JsonObject;
}

const TRIES_MAX = 8;
/** NIST SP 800-57 part 1: good beyond 2030. */
const RSA_BITS = 3072;
/** RFC 8410 section 7: what stands before the 32 bytes of an Ed25519 private key in PKCS #8. */
const ED25519_PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");

type Coordinates = Readonly<Record<string, string>>;

/** A key pair out of the injected randomness; an RSA key out of the platform's. */
export async function generateSigningKey(
  random: Random,
  algorithm: BackendKeyAlgorithm,
): Promise<NewSigningKey> {
  const { coordinates, secret } = await KEYS[algorithm](random);
  const kid = thumbprint(coordinates);
  return {
    kid,
    publicJwk: { ...coordinates, kid, use: "sig", alg: algorithm },
    privateJwk: { ...coordinates, ...secret },
  };
}

interface KeyParts {
  readonly coordinates: Coordinates;
  readonly secret: Coordinates;
}

const KEYS: Readonly<Record<BackendKeyAlgorithm, (random: Random) => Promise<KeyParts>>> = {
  ES256: async (random) => {
    const ecdh = createECDH("prime256v1");
    const scalar = drawScalar(ecdh, random);
    const point = ecdh.getPublicKey();
    return {
      coordinates: {
        kty: "EC",
        crv: "P-256",
        x: point.toString("base64url", 1, 33),
        y: point.toString("base64url", 33, 65),
      },
      secret: { d: Buffer.from(scalar).toString("base64url") },
    };
  },
  EdDSA: async (random) => {
    const seed = random.bytes(32);
    const key = createPrivateKey({
      key: Buffer.concat([ED25519_PKCS8, seed]),
      format: "der",
      type: "pkcs8",
    });
    const { x = "" } = createPublicKey(key).export({ format: "jwk" });
    return {
      coordinates: { kty: "OKP", crv: "Ed25519", x },
      secret: { d: Buffer.from(seed).toString("base64url") },
    };
  },
  RS256: async () => {
    const { privateKey } = await promisify(generateKeyPair)("rsa", { modulusLength: RSA_BITS });
    const {
      n = "",
      e = "",
      d = "",
      p = "",
      q = "",
      dp = "",
      dq = "",
      qi = "",
    } = privateKey.export({ format: "jwk" });
    return { coordinates: { kty: "RSA", n, e }, secret: { d, p, q, dp, dq, qi } };
  },
};

/**
 * A scalar of zero or past the group's order is thrown away: once in 2^32 draws, so eight in a row
 * do not happen to a working source.
 */
function drawScalar(ecdh: ReturnType<typeof createECDH>, random: Random): Uint8Array {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const scalar = random.bytes(32);
    try {
      ecdh.setPrivateKey(scalar);
      return scalar;
    } catch {
      continue;
    }
  }
  throw new Error("the source of randomness gives no usable key");
}

/** RFC 7638 section 3: the required members in order of their names, without spaces. */
function thumbprint(coordinates: Coordinates): string {
  const inOrder = Object.entries(coordinates).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const text = JSON.stringify(Object.fromEntries(inOrder));
  return createHash("sha256").update(text).digest("base64url");
}
