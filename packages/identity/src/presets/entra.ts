import type { Preset } from "./preset.ts";

const TENANT = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";

/**
 * Microsoft Entra: the issuer names the tenant by its id, so that the tenant is pinned; `common`
 * and `organizations` are no issuers. `oid` is the service principal.
 */
export const entra: Preset = {
  title: "Microsoft Entra",
  source: "https://learn.microsoft.com/en-us/entra/identity-platform/access-token-claims-reference",
  issuer: null,
  issuerPattern: new RegExp(
    `^https://(?:login\\.microsoftonline\\.com/${TENANT}/v2\\.0|sts\\.windows\\.net/${TENANT}/)$`,
  ),
  issuerHint: "https://login.microsoftonline.com/<tenant id>/v2.0, never `common`",
  algorithms: ["RS256"],
  oneTimeTokens: false,
  tokenAgeSecondsMax: 86_400,
  attributes: {
    tenant_id: { claim: "tid", stability: "immutable" },
    object_id: { claim: "oid", stability: "immutable" },
  },
  requiredClaims: {},
  callerChosenClaims: [],
};
