import { defineBackend } from "@mayfly/backend-kit";
import { durationSeconds, type BackendCapabilities } from "@mayfly/spec";
import { AUTHORITY } from "./authority.ts";
import { adoptPassword } from "./adopt-password.ts";
import { extend } from "./extend.ts";
import { issue } from "./issue.ts";
import { listMarked } from "./listing.ts";
import type { Lane } from "./members.ts";
import { recover } from "./recover.ts";
import { failures } from "./redis-failure.ts";
import { probe, revoke } from "./revoke.ts";
import { leases } from "./role-settings.ts";
import { selfCheck } from "./self-check.ts";
import { serverSettings } from "./server-settings.ts";

const capabilities: BackendCapabilities = {
  // A user of Redis lives until it is deleted.
  expiryEnforcedBy: "broker",
  revocation: "immediate",
  canRenew: true,
  canList: true,
  ttlSecondsMin: durationSeconds(1),
  ttlSecondsMax: durationSeconds(86_400),
  issueCallSecondsMax: durationSeconds(15),
  // `recover` has each server kill the connections over which one could still come.
  lateMint: "refused",
  credentialKind: "redis-password",
};

/**
 * Redis 7.0 and newer, Valkey: a lease is a user of the servers' access control lists, on every
 * server; `docs/backends/redis.md` lists what the broker's own user needs.
 */
export const redisBackend = defineBackend({
  type: "redis",
  capabilities,
  config: serverSettings,
  authority: AUTHORITY,
  leases,
  failures,
  open: (settings, host, closing): Lane => ({ settings, host, closing, nodes: new Map() }),
  close: async ({ nodes }) => {
    for (const node of nodes.values()) node.close();
  },
  operations: {
    issue,
    recover: (lane, plan, context) =>
      recover(lane, plan, capabilities.issueCallSecondsMax, context),
    revoke,
    probe,
    extend,
    list: listMarked,
    adoptSecret: adoptPassword,
    selfCheck,
  },
});
