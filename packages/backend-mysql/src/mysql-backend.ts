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
import { probe, revoke } from "./end-account.ts";
import { extend } from "./extend.ts";
import { issue } from "./issue.ts";
import { listMarked } from "./listing.ts";
import { recover } from "./recover.ts";
import {
  isWithinLease,
  PARAMS_SCHEMA,
  parseParams,
  parseRole,
  planLease,
  ROLE_SCHEMA,
} from "./role-settings.ts";
import { selfCheck } from "./self-check.ts";
import { closeServers, createServers } from "./servers.ts";

const capabilities: BackendCapabilities = {
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
};

/**
 * MariaDB 10.5 and MySQL 8.0.16, and newer: a lease is an account of its own, to which roles that
 * carry the privileges are granted. `docs/backends/mysql.md` lists what the broker's needs.
 */
export const mysqlBackend: CredentialBackend = {
  specVersion: 1,
  type: "mysql",
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
  const closing = createClosing("MySQL");
  const { unlessClosed } = closing;
  const servers = createServers(parseConnectionSettings(config), host);
  return {
    revocation: "immediate",
    issue: unlessClosed((plan, context) => issue(servers, plan, context)),
    recover: unlessClosed((plan, _checkpoint, context) => recover(servers, plan, context)),
    revoke: unlessClosed((handle, context) => revoke(servers, handle, context)),
    probe: unlessClosed((handle, context) => probe(servers, handle, context)),
    renewal: {
      kind: "extend",
      extend: unlessClosed((_plan, handle, expiresAt, context) =>
        extend(servers, handle, expiresAt, context),
      ),
    },
    listing: {
      kind: "marked",
      list: unlessClosed((after, context) => listMarked(servers, after, context)),
    },
    selfCheck: unlessClosed((roles, context) => selfCheck(servers, roles, context)),
    close: async () => {
      closing.close();
      await closeServers(servers);
    },
  };
}
