import { createClosing, refuseCrowded, SharedLook } from "@mayfly/backend-kit";
import {
  durationSeconds,
  type BackendCapabilities,
  type BackendHost,
  type CredentialBackend,
  type JsonObject,
  type OpenBackend,
} from "@mayfly/spec";
import { AUTHORITY_SCHEMA, authoritySettings, parseConfig } from "./authority-settings.ts";
import { probeCertificate, recoverCertificate, revokeCertificate } from "./end-certificate.ts";
import { issueCertificate } from "./issue-certificate.ts";
import { graceSeconds, LIFETIME_SECONDS_MAX, type Lane } from "./lane.ts";
import { publishAuthority } from "./publish-authority.ts";
import {
  isWithinCertificate,
  PARAMS_SCHEMA,
  parseParams,
  parseRole,
  planCertificate,
  ROLE_SCHEMA,
} from "./role-settings.ts";
import { selfCheck } from "./self-check.ts";

const capabilities: BackendCapabilities = {
  // `notAfter`: every handshake refuses it from then on.
  expiryEnforcedBy: "upstream",
  // Servers refuse it once they have a list that was made after the end.
  revocation: "propagating",
  canRenew: false,
  canList: false,
  // `notAfter` has whole seconds, and the server's clock is not ours.
  ttlSecondsMin: durationSeconds(5),
  ttlSecondsMax: durationSeconds(LIFETIME_SECONDS_MAX),
  issueCallSecondsMax: durationSeconds(5),
  // What was signed late is handed out by nobody: its lease is no longer reserved.
  lateMint: "refused",
  credentialKind: "x509-certificate",
};

/**
 * Client certificates (RFC 5280) of an authority whose keys the installation makes, seals and
 * rotates. There is no upstream: servers trust the authority, and fetch its lists of revoked
 * certificates, which are made of the ledger's ended leases. `docs/backends/x509.md` says what a
 * server has to do.
 */
export const x509Backend: CredentialBackend = {
  specVersion: 1,
  type: "x509",
  capabilities,
  configSchema: AUTHORITY_SCHEMA,
  roleSchema: ROLE_SCHEMA,
  paramsSchema: PARAMS_SCHEMA,
  parseConfig,
  parseRole,
  parseParams,
  // There is nothing secret in it: the keys are made here, and sealed apart.
  describeConfig: parseConfig,
  plan: planCertificate,
  isWithin: isWithinCertificate,
  certifies: true,
  open,
};

function open(config: JsonObject, host: BackendHost): OpenBackend {
  const settings = authoritySettings(config);
  const wanted = {
    lifetimeSecondsMax: LIFETIME_SECONDS_MAX,
    graceSeconds: graceSeconds(settings),
    listSeconds: settings.crl_seconds,
  };
  const ended = new SharedLook(() => host.tokens.endedLeases(wanted));
  const lane: Lane = {
    settings,
    host,
    ended,
    refuseCrowded: refuseCrowded(host.clock, "X.509, issue", () => ended.run()),
  };
  const closing = createClosing("X.509");
  const { unlessClosed } = closing;
  return {
    revocation: "propagating",
    issue: unlessClosed((plan, context) => issueCertificate(lane, plan, context)),
    recover: unlessClosed((plan) => recoverCertificate(lane, plan)),
    revoke: unlessClosed((handle) => revokeCertificate(lane, handle)),
    probe: unlessClosed((handle) => probeCertificate(lane, handle)),
    renewal: { kind: "none" },
    listing: { kind: "none" },
    selfCheck: unlessClosed((roles) => selfCheck(lane, roles)),
    authority: publishAuthority(lane),
    close: async () => closing.close(),
  };
}
