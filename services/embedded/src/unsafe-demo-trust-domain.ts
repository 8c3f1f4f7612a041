import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from "jose";

/**
 * UNSAFE, for the demo and for `npm run dev`: a SPIFFE trust domain that signs whatever SVID it is
 * asked for, without attesting anybody. In production SPIRE does this.
 */
export interface UnsafeDemoTrustDomain {
  readonly name: string;
  /** The SPIFFE bundle (SPIFFE Trust Domain and Bundle section 4), public keys only. */
  readonly bundle: { readonly keys: readonly JWK[] };
  /** A JWT-SVID of `spiffe://<name>/agent/<agent>`, good for five minutes. */
  svid(agent: string, audience: string): Promise<string>;
}

const LIFETIME = "5m";

export async function createUnsafeDemoTrustDomain(name: string): Promise<UnsafeDemoTrustDomain> {
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  const kid = "unsafe-demo-svid-key";
  const jwk: JWK = { ...(await exportJWK(publicKey)), kid, use: "jwt-svid" };
  return {
    name,
    bundle: { keys: [jwk] },
    svid: (agent, audience) => sign(privateKey, kid, `spiffe://${name}/agent/${agent}`, audience),
  };
}

const sign = (key: CryptoKey, kid: string, subject: string, audience: string): Promise<string> =>
  new SignJWT({})
    .setProtectedHeader({ alg: "ES256", typ: "JWT", kid })
    .setSubject(subject)
    .setAudience(audience)
    .setIssuedAt()
    .setExpirationTime(LIFETIME)
    .sign(key);
