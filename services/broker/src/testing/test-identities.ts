import type { Clock } from "@mayfly/spec";
import {
  createTestSigningKey,
  createTestTrustDomain,
  signCompact,
  type TestSigningKey,
  type TestTokenChange,
  type TestTrustDomain,
} from "@mayfly/testkit";

export const TRUST_DOMAIN = "acme.test";
export const OIDC_ISSUER = "https://login.acme.test";
export const CI_ISSUER = "https://ci.acme.test";

/** Workloads with real keys: a trust domain, an issuer of people, one of one-time tokens. */
export interface TestIdentities {
  readonly trustDomain: TestTrustDomain;
  readonly oidcKey: TestSigningKey;
  readonly ciKey: TestSigningKey;
  /** A JWT-SVID of `spiffe://acme.test/agent/<name>`. */
  svid(name: string, change?: TestTokenChange): string;
  /** An OIDC token of a person. */
  oidc(subject: string, change?: TestTokenChange): string;
  /** An OIDC token that counts once. */
  ci(subject: string, jti: string): string;
}

export function createTestIdentities(clock: Clock, audience: string): TestIdentities {
  const trustDomain = createTestTrustDomain({ clock, audience, trustDomain: TRUST_DOMAIN });
  const oidcKey = createTestSigningKey("login-1");
  const ciKey = createTestSigningKey("ci-1");
  const oidcToken = (
    key: TestSigningKey,
    issuer: string,
    subject: string,
    change: TestTokenChange = {},
  ): string => {
    const now = Math.floor(clock.now() / 1000);
    return signCompact(
      change.key ?? key,
      { alg: "ES256", kid: key.kid, typ: "JWT", ...change.header },
      { iss: issuer, sub: subject, aud: audience, iat: now, exp: now + 300, ...change.claims },
    );
  };
  return {
    trustDomain,
    oidcKey,
    ciKey,
    svid: (name, change = {}) =>
      trustDomain.token({
        ...change,
        claims: { sub: `spiffe://${TRUST_DOMAIN}/agent/${name}`, ...change.claims },
      }),
    oidc: (subject, change) => oidcToken(oidcKey, OIDC_ISSUER, subject, change),
    ci: (subject, jti) => oidcToken(ciKey, CI_ISSUER, subject, { claims: { jti } }),
  };
}
