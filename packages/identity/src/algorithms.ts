import { TOKEN_ALGORITHMS } from "@mayfly/spec";

/** What each signature algorithm needs of a key (RFC 7518 section 3.1, RFC 8037, RFC 9864). */
export const KEY_OF_ALGORITHM = {
  RS256: { kty: "RSA", crv: null },
  RS384: { kty: "RSA", crv: null },
  RS512: { kty: "RSA", crv: null },
  PS256: { kty: "RSA", crv: null },
  PS384: { kty: "RSA", crv: null },
  PS512: { kty: "RSA", crv: null },
  ES256: { kty: "EC", crv: "P-256" },
  ES384: { kty: "EC", crv: "P-384" },
  ES512: { kty: "EC", crv: "P-521" },
  EdDSA: { kty: "OKP", crv: "Ed25519" },
  Ed25519: { kty: "OKP", crv: "Ed25519" },
} as const;
export type Algorithm = keyof typeof KEY_OF_ALGORITHM;

/** SPIFFE JWT-SVID section 2.1: these nine and no other. */
export const SVID_ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "ES256",
  "ES384",
  "ES512",
  "PS256",
  "PS384",
  "PS512",
] as const satisfies readonly Algorithm[];

/** There is no symmetric one and no `none` in the table, so that none can be configured. */
export const OIDC_ALGORITHMS = TOKEN_ALGORITHMS satisfies readonly Algorithm[];
