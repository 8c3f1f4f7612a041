import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import {
  instantMs,
  type AuthorityKey,
  type BackendKeyAlgorithm,
  type JsonObject,
} from "@mayfly/spec";

/** The least that OpenSSH takes of RSA by itself, and the most that is worth its time. */
const RSA_BITS_MIN = 2_048;
const RSA_BITS_MAX = 4_096;

/** What an authority of hosts may have; null: something else. */
function algorithmOf({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject) {
  if (type === "ed25519") return "EdDSA";
  if (type === "ec") return details?.namedCurve === "prime256v1" ? "ES256" : null;
  const bits = type === "rsa" ? (details?.modulusLength ?? 0) : 0;
  return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX ? "RS256" : null;
}

/**
 * A key that is kept elsewhere as one that signs at any time: when the next one does is up to who
 * keeps it. Null: of no kind that hosts take, or `sign` does.
 */
export function keyOfAuthority(
  key: KeyObject,
  sign: (algorithm: BackendKeyAlgorithm, bytes: Uint8Array) => Promise<Uint8Array>,
): AuthorityKey | null {
  const open = key.type === "private" ? createPublicKey(key) : key;
  const algorithm = algorithmOf(open);
  if (algorithm === null) return null;
  const spki = open.export({ format: "der", type: "spki" });
  return {
    kid: createHash("sha256").update(spki).digest("base64url"),
    algorithm,
    publicJwk: open.export({ format: "jwk" }) as JsonObject,
    createdAt: instantMs(0),
    signsFromAt: instantMs(0),
    sign: (bytes) => sign(algorithm, bytes),
  };
}
