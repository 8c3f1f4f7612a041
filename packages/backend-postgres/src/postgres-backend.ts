import { defineBackend } from "@mayfly/backend-kit";
import { durationSeconds } from "@mayfly/spec";
import { AUTHORITY } from "./authority.ts";
import { adoptPassword } from "./adopt-password.ts";
import { connectionSettings } from "./connection-settings.ts";
import { extend } from "./extend.ts";
import { createMintBatcher, issue } from "./issue.ts";
import { closeLane, createLane } from "./lane.ts";
import { createLeaseBatches } from "./lease-batches.ts";
import { listMarked } from "./listing.ts";
import { failures } from "./pg-failure.ts";
import { probe } from "./probe.ts";
import { recover } from "./recover.ts";
import { revoke } from "./revoke.ts";
import { leases } from "./role-settings.ts";
import { selfCheck } from "./self-check.ts";

/**
 * PostgreSQL 15 and newer: a lease is a login role, a member of the group roles that carry the
 * privileges. Needs no superuser; `docs/backends/postgres.md` lists what it needs.
 */
export const postgresBackend = defineBackend({
  type: "postgres",
  capabilities: {
    // VALID UNTIL is looked at when somebody logs in, and ends no session.
    expiryEnforcedBy: "login_only",
    revocation: "immediate",
    canRenew: true,
    canList: true,
    ttlSecondsMin: durationSeconds(1),
    ttlSecondsMax: durationSeconds(86_400),
    // The most that `call_seconds_max` may be: the server gives up a mint at its deadline anyway.
    issueCallSecondsMax: durationSeconds(15),
    lateMint: "refused",
    credentialKind: "postgres-password",
    endsTogether: true,
  },
  config: connectionSettings,
  authority: AUTHORITY,
  leases,
  failures,
  open: (settings, host, closing) => {
    const lane = createLane(settings, host, closing);
    return { lane, batcher: createMintBatcher(lane), batches: createLeaseBatches(lane) };
  },
  close: ({ lane }) => closeLane(lane),
  operations: {
    issue: ({ lane, batcher }, plan, context) => issue(lane, batcher, plan, context),
    recover: ({ lane, batches }, plan, context) => recover(lane, batches, plan, context),
    revoke: ({ lane, batches }, handle, context) => revoke(lane, batches, handle, context),
    probe: ({ lane, batches }, handle, context) => probe(lane, batches, handle, context),
    extend: ({ lane }, handle, expiresAt, context) => extend(lane, handle, expiresAt, context),
    list: ({ lane }, after, context) => listMarked(lane, after, context),
    adoptSecret: ({ lane }, context) => adoptPassword(lane, context),
    selfCheck: ({ lane }, roles, context) => selfCheck(lane, roles, context),
  },
});
