import { defineBackend } from "@mayfly/backend-kit";
import { durationSeconds } from "@mayfly/spec";
import { AUTHORITY } from "./authority.ts";
import { accountSettings } from "./account-settings.ts";
import { failures } from "./aws-failure.ts";
import { issue } from "./issue.ts";
import { KEY_ROTATION } from "./key-rotation.ts";
import { closeLane, createLane } from "./lane.ts";
import { recover } from "./recover.ts";
import { adoptKey, obtainKey } from "./replace-key.ts";
import { probe, revoke } from "./revoke.ts";
import { leases } from "./role-settings.ts";
import { selfCheck } from "./self-check.ts";
import { upkeep } from "./upkeep.ts";

/**
 * AWS: a lease is a session of an IAM role, by AssumeRole; `docs/backends/aws.md` has what the
 * broker and the roles need.
 */
export const awsBackend = defineBackend({
  type: "aws",
  capabilities: {
    // AWS ends no session before it is 15 minutes old: a lease may well be shorter, and then the
    // deny ends it.
    expiryEnforcedBy: "broker",
    revocation: "propagating",
    canRenew: false,
    // AWS lists no sessions.
    canList: false,
    ttlSecondsMin: durationSeconds(1),
    ttlSecondsMax: durationSeconds(43_200),
    issueCallSecondsMax: durationSeconds(15),
    // The name is taken in the ledger before the request is sent, and recovery takes it there.
    lateMint: "refused",
    credentialKind: "aws-session",
  },
  config: accountSettings,
  authority: AUTHORITY,
  leases,
  failures,
  open: createLane,
  close: closeLane,
  rotation: KEY_ROTATION,
  operations: {
    issue,
    recover,
    revoke,
    probe,
    upkeep,
    selfCheck,
    obtainSecret: obtainKey,
    adoptSecret: adoptKey,
  },
});
