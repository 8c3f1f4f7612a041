import { constants, verify, type KeyObject, type VerifyKeyObjectInput } from "node:crypto";
import type { Algorithm } from "./algorithms.ts";

interface Scheme {
  /** Null: it is a part of the algorithm (RFC 8032). */
  readonly digest: "sha256" | "sha384" | "sha512" | null;
  readonly keyType: "rsa" | "ec" | "ed25519";
  /** As the platform calls it; null where a key type has none. */
  readonly curve: "prime256v1" | "secp384r1" | "secp521r1" | null;
  readonly how: Omit<VerifyKeyObjectInput, "key">;
}

const PKCS1 = { padding: constants.RSA_PKCS1_PADDING };
/** RFC 7518 section 3.5: the salt is as long as the digest. */
const PSS = {
  padding: constants.RSA_PKCS1_PSS_PADDING,
  saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
};
/** RFC 7518 section 3.4: R and S as they are, one behind the other. */
const ECDSA = { dsaEncoding: "ieee-p1363" } as const;

const SCHEMES: Readonly<Record<Algorithm, Scheme>> = {
  RS256: { digest: "sha256", keyType: "rsa", curve: null, how: PKCS1 },
  RS384: { digest: "sha384", keyType: "rsa", curve: null, how: PKCS1 },
  RS512: { digest: "sha512", keyType: "rsa", curve: null, how: PKCS1 },
  PS256: { digest: "sha256", keyType: "rsa", curve: null, how: PSS },
  PS384: { digest: "sha384", keyType: "rsa", curve: null, how: PSS },
  PS512: { digest: "sha512", keyType: "rsa", curve: null, how: PSS },
  ES256: { digest: "sha256", keyType: "ec", curve: "prime256v1", how: ECDSA },
  ES384: { digest: "sha384", keyType: "ec", curve: "secp384r1", how: ECDSA },
  ES512: { digest: "sha512", keyType: "ec", curve: "secp521r1", how: ECDSA },
  EdDSA: { digest: null, keyType: "ed25519", curve: null, how: {} },
  Ed25519: { digest: null, keyType: "ed25519", curve: null, how: {} },
};

/** Curves whose signatures cost many times those of P-256. */
const SLOW_ALGORITHMS: readonly Algorithm[] = ["ES384", "ES512"];
const FAST_RSA_BITS_MAX = 4096;

/**
 * Whether the signature of a JWS in compact serialization verifies, whose form and header were
 * checked. Throws as {@link verifyBytes}.
 */
export function verifyJws(compact: string, key: KeyObject, algorithm: Algorithm): Promise<boolean> {
  const end = compact.lastIndexOf(".");
  const signed = Buffer.from(compact.slice(0, end), "latin1");
  return verifyBytes(signed, Buffer.from(compact.slice(end + 1), "base64url"), key, algorithm);
}

/**
 * Whether the signature verifies, by the platform. Throws where the key is none for the algorithm.
 *
 * What costs some ten microseconds is done here and now: to hand it to another thread, and to be
 * woken when it is done, costs as much again. What costs more is left to the other threads.
 */
export async function verifyBytes(
  signed: Uint8Array,
  signature: Uint8Array,
  key: KeyObject,
  algorithm: Algorithm,
): Promise<boolean> {
  const { digest, keyType, curve, how } = SCHEMES[algorithm];
  const { namedCurve = null, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType !== keyType || namedCurve !== curve) {
    throw new TypeError(`the key is none for ${algorithm}`);
  }
  const by = { key, ...how };
  const isSlow = SLOW_ALGORITHMS.includes(algorithm) || modulusLength > FAST_RSA_BITS_MAX;
  if (!isSlow) return verify(digest, signed, by, signature);
  return new Promise((resolve, reject) => {
    verify(digest, signed, by, signature, (error, verifies) => {
      if (error === null) resolve(verifies);
      else reject(error);
    });
  });
}
