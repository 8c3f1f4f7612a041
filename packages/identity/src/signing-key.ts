import { createECDH, createHash } from "node:crypto";
import type { JsonObject, Random } from "@mayfly/spec";

export interface NewSigningKey {
  /** RFC 7638 thumbprint of the public key. */
  readonly kid: string;
  readonly publicJwk: JsonObject;
  readonly privateJwk: JsonObject;
}

const TRIES_MAX = 8;

/**
 * A P-256 key pair out of the injected randomness. A scalar of zero or past the group's order is
 * thrown away: once in 2^32 draws, so eight in a row do not happen to a working source.
 */
export function generateSigningKey(random: Random): NewSigningKey {
  const ecdh = createECDH("prime256v1");
  const scalar = drawScalar(ecdh, random);
  const point = ecdh.getPublicKey();
  const coordinates = {
    kty: "EC",
    crv: "P-256",
    x: point.toString("base64url", 1, 33),
    y: point.toString("base64url", 33, 65),
  };
  const kid = thumbprint(coordinates);
  return {
    kid,
    publicJwk: { ...coordinates, kid, use: "sig", alg: "ES256" },
    privateJwk: { ...coordinates, d: Buffer.from(scalar).toString("base64url") },
  };
}

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

/** RFC 7638 section 3: the required members in order, without spaces. */
function thumbprint({ crv, kty, x, y }: Readonly<Record<string, string>>): string {
  return createHash("sha256").update(JSON.stringify({ crv, kty, x, y })).digest("base64url");
}
