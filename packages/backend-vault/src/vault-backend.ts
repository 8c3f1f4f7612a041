import { defineBackend } from "@mayfly/backend-kit";
import { durationSeconds, type CredentialBackend } from "@mayfly/spec";
import { AUTHORITY } from "./authority.ts";
import { readTokenFile, type ReadTokenFile } from "./broker-session.ts";
import { ISSUE_CALL_SECONDS_MAX } from "./issue-call-bound.ts";
import { issue } from "./issue.ts";
import { listMarked } from "./listing.ts";
import { LOGIN_ROTATION } from "./login-rotation.ts";
import { closeLane, openLane } from "./open-lane.ts";
import { recover } from "./recover.ts";
import { adoptLogin, obtainLogin } from "./replace-login.ts";
import { probe, revoke } from "./revoke.ts";
import { leases } from "./role-settings.ts";
import { selfCheck } from "./self-check.ts";
import { serverSettings } from "./server-settings.ts";
import { failures } from "./vault-failure.ts";

/** The type, with another way to read the files that platforms keep tokens in. */
export const createVaultBackend = (readFile: ReadTokenFile): CredentialBackend =>
  defineBackend({
    type: "vault",
    capabilities: {
      // Of every kind: a token by its own time, with it an engine's lease, and a certificate.
      expiryEnforcedBy: "upstream",
      // Of what has no lease alone: of all else an end is refused at once.
      revocation: "propagating",
      canRenew: false,
      canList: true,
      ttlSecondsMin: durationSeconds(1),
      ttlSecondsMax: durationSeconds(86_400),
      issueCallSecondsMax: durationSeconds(ISSUE_CALL_SECONDS_MAX),
      // A request that comes late gives nobody anything: see `issue`.
      lateMint: "refused",
      credentialKind: "vault-secret",
    },
    config: serverSettings,
    authority: AUTHORITY,
    leases,
    failures,
    open: (settings, host, closing) => openLane(settings, host, closing, readFile),
    close: closeLane,
    rotation: LOGIN_ROTATION,
    operations: {
      issue,
      recover,
      revoke,
      probe,
      list: listMarked,
      selfCheck,
      obtainSecret: obtainLogin,
      adoptSecret: adoptLogin,
    },
  });

/**
 * OpenBao 2 and HashiCorp Vault: child tokens, and credentials of any engine;
 * `docs/backends/vault.md` has the policy that the broker needs.
 */
export const vaultBackend: CredentialBackend = createVaultBackend(readTokenFile);
