import { defineBackend } from "@mayfly/backend-kit";
import { durationSeconds } from "@mayfly/spec";
import { AUTHORITY } from "./authority.ts";
import { adoptPassword } from "./adopt-password.ts";
import { extend } from "./extend.ts";
import { issue } from "./issue.ts";
import { closeLane, createLane } from "./lane.ts";
import { listMarked } from "./listing.ts";
import { failures } from "./rabbit-failure.ts";
import { recover } from "./recover.ts";
import { probe, revoke } from "./revoke.ts";
import { leases } from "./role-settings.ts";
import { selfCheck } from "./self-check.ts";
import { serverSettings } from "./server-settings.ts";

/**
 * RabbitMQ 3.10 and newer with the management plugin: a lease is a user of one virtual host;
 * `docs/backends/rabbitmq.md` lists what the broker's own user needs.
 */
export const rabbitmqBackend = defineBackend({
  type: "rabbitmq",
  capabilities: {
    // A user of RabbitMQ lives until it is deleted.
    expiryEnforcedBy: "broker",
    revocation: "immediate",
    canRenew: true,
    canList: true,
    ttlSecondsMin: durationSeconds(1),
    ttlSecondsMax: durationSeconds(86_400),
    issueCallSecondsMax: durationSeconds(15),
    // A request that comes late gives nobody anything: see `issue`.
    lateMint: "refused",
    credentialKind: "rabbitmq-password",
  },
  config: serverSettings,
  authority: AUTHORITY,
  leases,
  failures,
  open: createLane,
  close: closeLane,
  operations: {
    issue,
    recover,
    revoke,
    probe,
    extend,
    list: listMarked,
    adoptSecret: adoptPassword,
    selfCheck,
  },
});
