import { createHash, randomUUID } from "node:crypto";
import type { Clock, JsonObject } from "@mayfly/spec";
import { createTestSigningKey, signCompact, type TestAlgorithm } from "./test-signing-key.ts";

export interface DpopProofChange {
  /** Replace the usual ones; undefined leaves one out. */
  readonly header?: Readonly<Record<string, unknown>>;
  readonly claims?: Readonly<Record<string, unknown>>;
}

/** A client's key, and the proofs that it signs. */
export interface TestDpopKey {
  readonly publicJwk: JsonObject;
  /** RFC 7638: what is bound to the key bears it. */
  readonly thumbprint: string;
  /** A fresh proof (RFC 9449 section 4.2), with `ath` where there is a token. */
  proof(method: string, url: string, token?: string | null, change?: DpopProofChange): string;
}

export function createTestDpopKey(clock: Clock, algorithm: TestAlgorithm = "ES256"): TestDpopKey {
  const key = createTestSigningKey("client", algorithm);
  const { kid: _kid, alg: _alg, use: _use, ...publicJwk } = key.publicJwk;
  return {
    publicJwk,
    thumbprint: thumbprintOf(publicJwk),
    proof: (method, url, token = null, change = {}) =>
      signCompact(
        key,
        { typ: "dpop+jwt", alg: algorithm, jwk: publicJwk, ...change.header },
        {
          jti: randomUUID(),
          htm: method,
          htu: url,
          iat: Math.floor(clock.now() / 1000),
          ...(token === null ? {} : { ath: sha256(token) }),
          ...change.claims,
        },
      ),
  };
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("base64url");

/** RFC 7638 section 3: the required members alone, sorted, without white space. */
function thumbprintOf(jwk: JsonObject): string {
  const members = ["crv", "e", "kty", "n", "x", "y"].filter((name) => Object.hasOwn(jwk, name));
  return sha256(JSON.stringify(Object.fromEntries(members.map((name) => [name, jwk[name]]))));
}
