import type { Preset } from "./preset.ts";

const TENANT = "(?<tid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})";

/**
 * Applications and managed identities of one Microsoft Entra tenant. The issuer names the tenant by
 * its id, so that the tenant is pinned, in `tid` too; `common` and `organizations` are no issuers.
 * `oid` is the service principal. `scp` is in tokens in which an application acts for a person.
 */
export const entra: Preset = {
  title: "Microsoft Entra",
  source: "https://learn.microsoft.com/en-us/entra/identity-platform/access-token-claims-reference",
  issuer: null,
  issuerPattern: new RegExp(
    `^https://(?:login\\.microsoftonline\\.com/${TENANT}/v2\\.0|` +
      `sts\\.windows\\.net/${TENANT}/)$`,
  ),
  issuerHint: "https://login.microsoftonline.com/<tenant id>/v2.0, never `common`",
  algorithms: ["RS256"],
  oneTimeTokens: false,
  tokenAgeSecondsMax: 86_400,
  attributes: {
    tenant_id: { claim: "tid", stability: "immutable" },
    object_id: { claim: "oid", stability: "immutable" },
    application_id: { claim: "azp", stability: "immutable", optional: true },
    application_id_v1: { claim: "appid", stability: "immutable", optional: true },
    identity_type: { claim: "idtyp", stability: "mutable", optional: true },
    managed_identity: { claim: "xms_mirid", stability: "mutable", optional: true },
  },
  requiredClaims: {},
  requiredText: null,
  absentClaims: ["scp"],
  callerChosenClaims: [],
  trustDomain: false,
  traps: [
    "Register an application for the broker; the audience of its tokens is that application's id, " +
      "which audience must then say.",
    "Every application of the tenant can ask for such a token: a policy must ask for object_id.",
    "Tokens in which an application acts for a person are refused: they have the claim scp.",
  ],
};
