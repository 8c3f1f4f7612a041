import type { Preset } from "./preset.ts";

const GOOGLE = {
  issuer: "https://accounts.google.com",
  issuerPattern: /^https:\/\/accounts\.google\.com$/,
  issuerHint: "https://accounts.google.com",
  algorithms: ["RS256"],
  oneTimeTokens: false,
  tokenAgeSecondsMax: 3600,
  requiredClaims: { email_verified: true },
  absentClaims: [],
  callerChosenClaims: [],
  trustDomain: false,
} as const;

/**
 * Compute Engine instance identity, asked for with `format=full`. The same issuer serves people:
 * they lack the instance's claims, which are required here.
 */
export const gcp: Preset = {
  ...GOOGLE,
  title: "Google Cloud instances",
  source: "https://cloud.google.com/compute/docs/instances/verifying-instance-identity",
  attributes: {
    instance_id: { claim: "/google/compute_engine/instance_id", stability: "immutable" },
    project_id: { claim: "/google/compute_engine/project_id", stability: "immutable" },
    zone: { claim: "/google/compute_engine/zone", stability: "mutable" },
    service_account_email: { claim: "email", stability: "mutable" },
    service_account_id: { claim: "sub", stability: "immutable" },
  },
  requiredText: null,
  traps: [
    "Any instance at Google gets tokens of this issuer: a policy must ask for project_id, " +
      "service_account_id or instance_id.",
    "Ask the metadata server with format=full: without it the instance's claims are missing.",
    "The same issuer serves people; their tokens are refused here.",
  ],
};

/**
 * Service accounts wherever they run, Cloud Run and GKE included. People have addresses of their
 * own; only Google makes any under `gserviceaccount.com`. An instance's tokens are those of its
 * service account, with more in them: one trust root is both.
 */
export const gcpServiceAccount: Preset = {
  ...GOOGLE,
  title: "Google Cloud service accounts",
  source: "https://cloud.google.com/docs/authentication/get-id-token",
  attributes: {
    service_account_id: { claim: "sub", stability: "immutable" },
    service_account_email: { claim: "email", stability: "mutable" },
    instance_id: {
      claim: "/google/compute_engine/instance_id",
      stability: "immutable",
      optional: true,
    },
    project_id: {
      claim: "/google/compute_engine/project_id",
      stability: "immutable",
      optional: true,
    },
    zone: { claim: "/google/compute_engine/zone", stability: "mutable", optional: true },
  },
  requiredText: { email: { ends_with: ".gserviceaccount.com" } },
  traps: [
    "Any service account at Google gets tokens of this issuer: a policy must ask for " +
      "service_account_id, the numeric one; an address can be deleted and made anew.",
    "Instances are service accounts too, and have their own attributes where the metadata server " +
      "was asked with format=full: no other trust root is needed for them, and none can be beside " +
      "this one.",
    "The same issuer serves people; their tokens are refused here.",
  ],
};
