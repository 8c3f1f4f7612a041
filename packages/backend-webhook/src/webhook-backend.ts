import { defineBackend } from "@mayfly/backend-kit";
import { durationSeconds } from "@mayfly/spec";
import { extend, issue, list, probe, recover, revoke } from "./lease.ts";
import { openMinter } from "./minter.ts";
import { failures } from "./minter-failure.ts";
import { minterSettings } from "./minter-settings.ts";
import { leases } from "./role-settings.ts";
import { selfCheck } from "./self-check.ts";

/**
 * Credentials that a program of the customer's makes and ends, asked by signed requests. What is
 * said of it here a minter has to keep; `docs/backends/webhook.md` says how, and the self-check
 * tries it.
 */
export const webhookBackend = defineBackend({
  type: "webhook",
  capabilities: {
    // A minter is told the expiry and may enforce it; nothing here depends on that it does.
    expiryEnforcedBy: "broker",
    revocation: "immediate",
    canRenew: true,
    canList: true,
    ttlSecondsMin: durationSeconds(1),
    ttlSecondsMax: durationSeconds(86_400),
    // The most that `call_seconds_max` may be, and as long again for what the minter itself calls.
    issueCallSecondsMax: durationSeconds(20),
    // By the deadline that each mint bears, and by names that are never used twice.
    lateMint: "refused",
    credentialKind: "webhook-credential",
  },
  config: minterSettings,
  leases,
  failures,
  open: openMinter,
  close: ({ api }) => api.close(),
  operations: { issue, recover, revoke, probe, extend, list, selfCheck },
});
