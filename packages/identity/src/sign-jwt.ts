import { sign, type KeyObject } from "node:crypto";
import type { BackendKeyAlgorithm } from "@mayfly/spec";

export interface SigningHeader {
  readonly alg: BackendKeyAlgorithm;
  readonly kid: string;
  readonly typ: string;
}

/**
 * A JWS in compact serialization (RFC 7515 section 3.1) over the claims, by the platform. Here and
 * now: an ES256 signature costs less than to hand the work to another thread.
 */
export function signJwt(header: SigningHeader, claims: object, key: KeyObject): string {
  const input = `${encode(header)}.${encode(claims)}`;
  const digest = header.alg === "EdDSA" ? null : "sha256";
  // RFC 7518 section 3.4; what is no ECDSA key passes over it.
  const signature = sign(digest, Buffer.from(input, "latin1"), { key, dsaEncoding: "ieee-p1363" });
  return `${input}.${signature.toString("base64url")}`;
}

const encode = (value: object): string =>
  Buffer.from(JSON.stringify(value), "utf8").toString("base64url");
