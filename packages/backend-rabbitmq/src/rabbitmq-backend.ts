import { createClosing, plainObject } from "@mayfly/backend-kit";
import {
  durationSeconds,
  type BackendCapabilities,
  type BackendHost,
  type CredentialBackend,
  type JsonObject,
  type OpenBackend,
} from "@mayfly/spec";
import { extend } from "./extend.ts";
import { issue } from "./issue.ts";
import { closeLane, createLane } from "./lane.ts";
import { listMarked } from "./listing.ts";
import { recover } from "./recover.ts";
import { probe, revoke } from "./revoke.ts";
import {
  isWithinLease,
  PARAMS_SCHEMA,
  parseParams,
  parseRole,
  planLease,
  ROLE_SCHEMA,
} from "./role-settings.ts";
import { selfCheck } from "./self-check.ts";
import { describeServer, parseServerSettings, SERVER_SCHEMA } from "./server-settings.ts";

const capabilities: BackendCapabilities = {
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
};

/**
 * RabbitMQ 3.10 and newer with the management plugin: a lease is a user of one virtual host;
 * `docs/backends/rabbitmq.md` lists what the broker's own user needs.
 */
export const rabbitmqBackend: CredentialBackend = {
  specVersion: 1,
  type: "rabbitmq",
  capabilities,
  configSchema: SERVER_SCHEMA,
  roleSchema: ROLE_SCHEMA,
  paramsSchema: PARAMS_SCHEMA,
  parseConfig: (input) => plainObject(parseServerSettings(input)),
  parseRole,
  parseParams,
  describeConfig: describeServer,
  plan: planLease,
  isWithin: isWithinLease,
  open,
};

function open(config: JsonObject, host: BackendHost): OpenBackend {
  const closing = createClosing("RabbitMQ");
  const { unlessClosed } = closing;
  const lane = createLane(parseServerSettings(config), host, closing.signal);
  return {
    revocation: "immediate",
    issue: unlessClosed((plan, context) => issue(lane, plan, context)),
    recover: unlessClosed((plan, _checkpoint, context) => recover(lane, plan, context)),
    revoke: unlessClosed((handle, context) => revoke(lane, handle, context)),
    probe: unlessClosed((handle, context) => probe(lane, handle, context)),
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
