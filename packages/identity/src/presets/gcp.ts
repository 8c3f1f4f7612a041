import type { Preset } from "./preset.ts";

/**
 * Compute Engine instance identity, asked for with `format=full`. The same issuer serves people:
 * they lack the instance's claims, which are required here.
 */
export const gcp: Preset = {
  title: "Google Cloud instances",
  source: "https://cloud.google.com/compute/docs/instances/verifying-instance-identity",
  issuer: "https://accounts.google.com",
  issuerPattern: /^https:\/\/accounts\.google\.com$/,
  issuerHint: "https://accounts.google.com",
  algorithms: ["RS256"],
  oneTimeTokens: false,
  tokenAgeSecondsMax: 3600,
  attributes: {
    instance_id: { claim: "/google/compute_engine/instance_id", stability: "immutable" },
    project_id: { claim: "/google/compute_engine/project_id", stability: "immutable" },
    zone: { claim: "/google/compute_engine/zone", stability: "mutable" },
    service_account_email: { claim: "email", stability: "mutable" },
  },
  requiredClaims: { email_verified: true },
  callerChosenClaims: [],
};
