import { defineBackend } from "@mayfly/backend-kit";
import { durationSeconds } from "@mayfly/spec";
import { failures, openApi } from "./example-api.ts";
import { extend, issue, list, probe, recover, revoke } from "./example-lease.ts";
import { selfCheck } from "./example-self-check.ts";
import { config, leases } from "./example-settings.ts";

/** A lease is an account of its own. `docs/backends/example.md` says what is true of it. */
export const exampleBackend = defineBackend({
  type: "example",
  capabilities: {
    expiryEnforcedBy: "upstream",
    revocation: "immediate",
    canRenew: true,
    canList: true,
    ttlSecondsMin: durationSeconds(1),
    ttlSecondsMax: durationSeconds(86_400),
    // No less than the most that `call_seconds_max` may be.
    issueCallSecondsMax: durationSeconds(10),
    lateMint: "refused",
    credentialKind: "example-password",
  },
  config,
  leases,
  failures,
  open: (settings, host) => ({ api: openApi(settings, host), host }),
  close: ({ api }) => api.close(),
  operations: { issue, recover, revoke, probe, extend, list, selfCheck },
});
