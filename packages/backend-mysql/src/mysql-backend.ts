import { defineBackend } from "@mayfly/backend-kit";
import { durationSeconds } from "@mayfly/spec";
import { AUTHORITY } from "./authority.ts";
import { adoptPassword } from "./adopt-password.ts";
import { connectionSettings } from "./connection-settings.ts";
import { extend } from "./extend.ts";
import { issue } from "./issue.ts";
import { listMarked } from "./listing.ts";
import { failures } from "./mysql-failure.ts";
import { openServers } from "./open-servers.ts";
import { recover } from "./recover.ts";
import { probe, revoke } from "./revoke.ts";
import { leases } from "./role-settings.ts";
import { selfCheck } from "./self-check.ts";
import { closeServers } from "./servers.ts";

/**
 * MariaDB 10.5 and MySQL 8.0.16, and newer: a lease is an account of its own, to which roles that
 * carry the privileges are granted. `docs/backends/mysql.md` lists what the broker's needs.
 */
export const mysqlBackend = defineBackend({
  type: "mysql",
  capabilities: {
    // An account knows no instant at which it ends: PASSWORD EXPIRE counts days.
    expiryEnforcedBy: "broker",
    revocation: "immediate",
    canRenew: true,
    canList: true,
    ttlSecondsMin: durationSeconds(1),
    ttlSecondsMax: durationSeconds(86_400),
    // The most that `call_seconds_max` may be: the server makes no account past the deadline.
    issueCallSecondsMax: durationSeconds(15),
    lateMint: "refused",
    credentialKind: "mysql-password",
  },
  config: connectionSettings,
  authority: AUTHORITY,
  leases,
  failures,
  open: openServers,
  close: closeServers,
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
