import { createClosing } from "@mayfly/backend-kit";
import {
  durationSeconds,
  type BackendCapabilities,
  type BackendHost,
  type CredentialBackend,
  type JsonObject,
  type OpenBackend,
} from "@mayfly/spec";
import { audienceSpelling } from "./audience-spelling.ts";
import { issueToken } from "./issue-token.ts";
import {
  audiencesOfConfig,
  ISSUER_SCHEMA,
  issuerSettings,
  parseConfig,
} from "./issuer-settings.ts";
import { probeToken, recoverToken, revokeToken } from "./end-token.ts";
import {
  isWithinToken,
  PARAMS_SCHEMA,
  parseParams,
  parseRole,
  planToken,
  ROLE_SCHEMA,
} from "./role-settings.ts";
import { selfCheck } from "./self-check.ts";
import { tokenVerification } from "./token-verification.ts";

const capabilities: BackendCapabilities = {
  // `exp`: whoever verifies the token refuses it from then on.
  expiryEnforcedBy: "upstream",
  // Refused by introspection at once, and by nobody who does not ask before it expires.
  revocation: "propagating",
  canRenew: false,
  canList: false,
  // `exp` has whole seconds, and the API's clock is not ours.
  ttlSecondsMin: durationSeconds(5),
  // The longest that a verifier which does not introspect accepts what was ended.
  ttlSecondsMax: durationSeconds(900),
  issueCallSecondsMax: durationSeconds(5),
  // A token that was signed late is handed out by nobody: its lease is no longer reserved.
  lateMint: "refused",
  credentialKind: "jwt-access-token",
};

/**
 * Access tokens (RFC 9068) for the customer's own APIs, signed by the installation with keys of the
 * backend alone. There is no upstream: the lease's row says whether a token counts, and `exp` when
 * it dies. `docs/backends/jwt.md` says what an API has to do.
 */
export const jwtBackend: CredentialBackend = {
  specVersion: 1,
  type: "jwt",
  capabilities,
  configSchema: ISSUER_SCHEMA,
  roleSchema: ROLE_SCHEMA,
  paramsSchema: PARAMS_SCHEMA,
  parseConfig,
  parseRole,
  parseParams,
  // There is nothing secret in it: the keys are made here, and sealed apart.
  describeConfig: parseConfig,
  plan: planToken,
  isWithin: isWithinToken,
  // A server that knows an audience by one backend's keys has no reason to trust another's.
  soleNames: { what: "audience", of: audiencesOfConfig, spellingOf: audienceSpelling },
  signsTokens: true,
  open,
};

function open(config: JsonObject, host: BackendHost): OpenBackend {
  const lane = { settings: issuerSettings(config), host };
  const closing = createClosing("JWT");
  const { unlessClosed } = closing;
  return {
    revocation: "propagating",
    issue: unlessClosed((plan, context) => issueToken(lane, plan, context)),
    recover: unlessClosed((plan) => recoverToken(lane, plan)),
    revoke: unlessClosed((handle) => revokeToken(lane, handle)),
    probe: unlessClosed((handle) => probeToken(lane, handle)),
    renewal: { kind: "none" },
    listing: { kind: "none" },
    selfCheck: unlessClosed((roles) => selfCheck(lane, roles)),
    verification: tokenVerification(lane),
    close: async () => closing.close(),
  };
}
