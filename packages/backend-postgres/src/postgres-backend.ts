import { createClosing, plainObject } from "@mayfly/backend-kit";
import {
  durationSeconds,
  type BackendCapabilities,
  type BackendHost,
  type CredentialBackend,
  type JsonObject,
  type OpenBackend,
} from "@mayfly/spec";
import {
  CONNECTION_SCHEMA,
  describeConnection,
  parseConnectionSettings,
} from "./connection-settings.ts";
import { extend } from "./extend.ts";
import { createMintBatcher, issue } from "./issue.ts";
import { closeLane, createLane } from "./lane.ts";
import { createLeaseBatches } from "./lease-batches.ts";
import { listMarked } from "./listing.ts";
import { probe } from "./probe.ts";
import { recover } from "./recover.ts";
import { revoke } from "./revoke.ts";
import {
  isWithinLease,
  PARAMS_SCHEMA,
  parseParams,
  parseRole,
  planLease,
  ROLE_SCHEMA,
} from "./role-settings.ts";
import { selfCheck } from "./self-check.ts";

const capabilities: BackendCapabilities = {
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
};

/**
 * PostgreSQL 15 and newer: a lease is a login role, a member of the group roles that carry the
 * privileges. Needs no superuser; `docs/backends/postgres.md` lists what it needs.
 */
export const postgresBackend: CredentialBackend = {
  specVersion: 1,
  type: "postgres",
  capabilities,
  configSchema: CONNECTION_SCHEMA,
  roleSchema: ROLE_SCHEMA,
  paramsSchema: PARAMS_SCHEMA,
  parseConfig: (input) => plainObject(parseConnectionSettings(input)),
  parseRole,
  parseParams,
  describeConfig: describeConnection,
  plan: planLease,
  isWithin: isWithinLease,
  open,
};

function open(config: JsonObject, host: BackendHost): OpenBackend {
  const closing = createClosing("PostgreSQL");
  const { unlessClosed } = closing;
  const lane = createLane(parseConnectionSettings(config), host, closing.signal);
  const batcher = createMintBatcher(lane);
  const batches = createLeaseBatches(lane);
  return {
    revocation: "immediate",
    issue: unlessClosed((plan, context) => issue(lane, batcher, plan, context)),
    recover: unlessClosed((plan, _checkpoint, context) => recover(lane, batches, plan, context)),
    revoke: unlessClosed((handle, context) => revoke(lane, batches, handle, context)),
    probe: unlessClosed((handle, context) => probe(lane, batches, handle, context)),
    renewal: {
      kind: "extend",
      extend: unlessClosed((_plan, handle, expiresAt, context) =>
        extend(lane, handle, expiresAt, context),
      ),
    },
    listing: {
      kind: "marked",
      list: unlessClosed((after, context) => listMarked(lane, after, context)),
    },
    selfCheck: unlessClosed((roles, context) => selfCheck(lane, roles, context)),
    close: async () => {
      closing.close();
      await closeLane(lane);
    },
  };
}
