import type { Preset } from "./preset.ts";

/**
 * Projected service account tokens. A name can be deleted and created anew, a uid cannot. The age
 * limit is what stops default tokens, which a cluster may stretch to a year. Deleting a pod does
 * not end its token: keep `expirationSeconds` short.
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
  },
  requiredClaims: {},
  callerChosenClaims: [],
};
