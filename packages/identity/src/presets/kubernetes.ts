import type { Preset } from "./preset.ts";

/**
 * Projected service account tokens. A name can be deleted and created anew, a uid cannot. The age
 * limit is what stops default tokens, which a cluster may stretch to a year.
 */
export const kubernetes: Preset = {
  title: "Kubernetes service accounts",
  source: "https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/",
  issuer: null,
  issuerPattern: /^https?:\/\/\S+$/,
  issuerHint: "the cluster's --service-account-issuer",
  algorithms: ["RS256", "ES256", "ES384"],
  oneTimeTokens: false,
  tokenAgeSecondsMax: 3600,
  attributes: {
    namespace: { claim: "/kubernetes.io/namespace", stability: "mutable" },
    service_account: { claim: "/kubernetes.io/serviceaccount/name", stability: "mutable" },
    service_account_uid: { claim: "/kubernetes.io/serviceaccount/uid", stability: "immutable" },
    pod: { claim: "/kubernetes.io/pod/name", stability: "mutable", optional: true },
    pod_uid: { claim: "/kubernetes.io/pod/uid", stability: "immutable", optional: true },
    node: { claim: "/kubernetes.io/node/name", stability: "mutable", optional: true },
    node_uid: { claim: "/kubernetes.io/node/uid", stability: "immutable", optional: true },
  },
  requiredClaims: {},
  requiredText: { sub: { starts_with: "system:serviceaccount:" } },
  absentClaims: [],
  callerChosenClaims: [],
  trustDomain: false,
  traps: [
    "Give pods a projected token whose audience is the broker's issuer, with expirationSeconds of " +
      "3600 at most; the token that every pod has is for the API server and is refused.",
    "The keys are read without a login: bind the role system:service-account-issuer-discovery to " +
      "system:unauthenticated, or give jwks.",
    "The deletion of a pod or a service account does not show in its token until that expires.",
  ],
};
