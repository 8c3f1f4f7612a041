import { createClosing } from "@mayfly/backend-kit";
import {
  durationSeconds,
  type BackendCapabilities,
  type BackendHost,
  type CredentialBackend,
  type JsonObject,
  type OpenBackend,
} from "@mayfly/spec";
import { AUTHORITY } from "./authority.ts";
import { probeCertificate, recoverCertificate, revokeCertificate } from "./end-certificate.ts";
import { readKeyFile, type ReadKeyFile } from "./file-authority.ts";
import {
  describeConfig,
  hasKeysElsewhere,
  HOST_SCHEMA,
  hostSettings,
  parseConfig,
} from "./host-settings.ts";
import { issueCertificate } from "./issue-certificate.ts";
import { createLane, LIFETIME_SECONDS_MAX } from "./lane.ts";
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
  // sshd looks at a certificate when a session begins: one that is open goes on.
  expiryEnforcedBy: "login_only",
  revocation: "immediate",
  canRenew: false,
  canList: false,
  // A certificate has whole seconds, and the host's clock is not ours.
  ttlSecondsMin: durationSeconds(5),
  ttlSecondsMax: durationSeconds(LIFETIME_SECONDS_MAX),
  issueCallSecondsMax: durationSeconds(5),
  // What was signed late is handed out by nobody: its lease is no longer reserved.
  lateMint: "refused",
  credentialKind: "ssh-certificate",
};

/** The type, with another way to read the file of an authority's key. */
export const createSshBackend = (readFile: ReadKeyFile): CredentialBackend => ({
  specVersion: 1,
  type: "ssh",
  capabilities,
  configSchema: HOST_SCHEMA,
  authority: AUTHORITY,
  roleSchema: ROLE_SCHEMA,
  paramsSchema: PARAMS_SCHEMA,
  parseConfig,
  parseRole,
  parseParams,
  describeConfig,
  plan: planCertificate,
  isWithin: isWithinCertificate,
  certifies: true,
  keysElsewhere: hasKeysElsewhere,
  open: (config, host) => open(config, host, readFile),
});

/**
 * User certificates of OpenSSH, signed by an authority whose keys the installation makes, seals and
 * rotates, or the operator keeps. An end is a list of revoked certificates that every host keeps,
 * and the sessions that it cuts by it. `docs/backends/ssh.md` says what a host needs.
 */
export const sshBackend: CredentialBackend = createSshBackend(readKeyFile);

function open(config: JsonObject, host: BackendHost, readFile: ReadKeyFile): OpenBackend {
  const closing = createClosing("SSH");
  const lane = createLane(hostSettings(config), host, readFile, closing.signal);
  const { unlessClosed } = closing;
  return {
    revocation: "immediate",
    issue: unlessClosed((plan, context) => issueCertificate(lane, plan, context)),
    recover: unlessClosed((plan) => recoverCertificate(lane, plan)),
    revoke: unlessClosed((handle, context) => revokeCertificate(lane, handle, context)),
    probe: unlessClosed((handle, context) => probeCertificate(lane, handle, context)),
    renewal: { kind: "none" },
    listing: { kind: "none" },
    selfCheck: unlessClosed((_roles, context) => selfCheck(lane, context)),
    authority: publishAuthority(lane),
    close: async () => {
      closing.close();
      await lane.source.close();
    },
  };
}
