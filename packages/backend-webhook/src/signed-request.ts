import { createPrivateKey, createPublicKey } from "node:crypto";
import type { BackendHost, JsonObject } from "@mayfly/spec";
import { calculateJwkThumbprint, SignJWT, type JWK } from "jose";
import { algorithmOf, type MinterSettings } from "./minter-settings.ts";

/** Media type and `typ` of a request: a JWT (RFC 7519), which is all of its body. */
export const REQUEST_TYPE = "mayfly-minter+jwt";
/** How long a request is good for: its way to the minter, and the clocks of both. */
const LIFE_SECONDS = 60;
const JTI_BYTES = 16;

export interface RequestSigner {
  /** The public key (RFC 7517), with its thumbprint (RFC 7638) as `kid`. */
  publicJwk(): Promise<JWK>;
  sign(operation: string, request: JsonObject): Promise<string>;
}

/**
 * Requests are claims of a JWT, so that nothing of them is unsigned, nothing has to be put into a
 * canonical form before it is verified, and one call of any JWT library verifies all of it.
 */
export function requestSigner(settings: MinterSettings, host: BackendHost): RequestSigner {
  const key = createPrivateKey(settings.signing_key);
  const algorithm = algorithmOf(key);
  if (algorithm === null) throw new TypeError("not a key that was parsed");
  const jwk = createPublicKey(key).export({ format: "jwk" }) as JWK;
  const kid = calculateJwkThumbprint(jwk);
  return {
    publicJwk: async () => ({ ...jwk, kid: await kid, alg: algorithm, use: "sig" }),
    sign: async (operation, request) => {
      const now = Math.floor(host.clock.now() / 1_000);
      return new SignJWT({ operation, request })
        .setProtectedHeader({ alg: algorithm, kid: await kid, typ: REQUEST_TYPE })
        .setIssuer(host.tokens.issuer)
        .setAudience(settings.audience ?? settings.url)
        .setIssuedAt(now)
        .setExpirationTime(now + LIFE_SECONDS)
        .setJti(Buffer.from(host.random.bytes(JTI_BYTES)).toString("base64url"))
        .sign(key);
    },
  };
}
