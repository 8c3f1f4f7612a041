import { defineBackend } from "@mayfly/backend-kit";
import { durationSeconds, type CallContext } from "@mayfly/spec";
import { accountSettings } from "./account-settings.ts";
import { failures } from "./aws-failure.ts";
import { issue } from "./issue.ts";
import { closeLane, createLane, type Lane } from "./lane.ts";
import { recover } from "./recover.ts";
import { probe, revoke, untilAborted } from "./revoke.ts";
import { leases } from "./role-settings.ts";
import { selfCheck } from "./self-check.ts";

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
  leases,
  failures,
  open: createLane,
  close: closeLane,
  operations: { issue, recover, revoke, probe, upkeep, selfCheck },
});

/**
 * U1. Compares the denies of each role with the ledger: writes what is missing, prunes. Where
 * others have taken of the room that was promised, nothing more is to be issued.
 */
async function upkeep(lane: Lane, context: CallContext): Promise<void> {
  const { deny_characters: promised } = lane.settings;
  for (const place of await lane.host.names.places()) {
    await untilAborted(lane.rewrites(place), context);
    const { room } = await untilAborted(lane.looks(place), context);
    if (room < promised) {
      throw failures.unfinished(
        `${place}: its other inline policies leave ${room} characters for denies, and ` +
          `deny_characters is ${promised}; make them managed ones`,
      );
    }
  }
}
