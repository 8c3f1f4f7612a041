import type { Preset } from "./preset.ts";

/**
 * JWT-SVIDs whose keys are published by SPIRE's OIDC discovery provider, for where its bundle
 * endpoint cannot be reached. The workloads are those of the trust domain, by their SPIFFE IDs.
 */
export const spireOidc: Preset = {
  title: "SPIRE's OIDC discovery provider",
  source: "https://github.com/spiffe/spire/tree/main/support/oidc-discovery-provider",
  issuer: null,
  issuerPattern: /^https?:\/\/\S+$/,
  issuerHint: "the jwt_issuer of the SPIRE server",
  algorithms: ["RS256", "ES256", "ES384"],
  oneTimeTokens: false,
  tokenAgeSecondsMax: 3600,
  attributes: {},
  requiredClaims: {},
  requiredText: null,
  absentClaims: [],
  callerChosenClaims: [],
  trustDomain: true,
  traps: [
    "The SPIRE server's jwt_issuer and the provider's must be this one URL, byte for byte.",
    "A trust root of kind spiffe for the same trust domain goes before this one.",
  ],
};
