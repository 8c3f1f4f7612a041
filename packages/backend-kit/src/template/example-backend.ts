import { createClosing } from "@mayfly/backend-kit";
import {
  durationSeconds,
  type BackendHost,
  type CredentialBackend,
  type JsonObject,
  type OpenBackend,
} from "@mayfly/spec";
import { openApi } from "./example-api.ts";
import { extend, issue, list, probe, recover, revoke } from "./example-lease.ts";
import { selfCheck } from "./example-self-check.ts";
import {
  CONFIG_SCHEMA,
  configOf,
  describeConfig,
  isWithinLease,
  PARAMS_SCHEMA,
  parseConfig,
  parseParams,
  parseRole,
  planLease,
  ROLE_SCHEMA,
} from "./example-settings.ts";

/** A lease is an account of its own. `docs/backends/example.md` says what is true of it. */
export const exampleBackend: CredentialBackend = {
  specVersion: 1,
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
  configSchema: CONFIG_SCHEMA,
  roleSchema: ROLE_SCHEMA,
  paramsSchema: PARAMS_SCHEMA,
  parseConfig,
  parseRole,
  parseParams,
  describeConfig,
  plan: planLease,
  isWithin: isWithinLease,
  open,
};

function open(config: JsonObject, host: BackendHost): OpenBackend {
  const closing = createClosing("Example");
  const { unlessClosed } = closing;
  const api = openApi(configOf(config), host);
  const place = { api, host };
  return {
    revocation: "immediate",
    issue: unlessClosed((plan, context) => issue(place, plan, context)),
    recover: unlessClosed((plan, _checkpoint, context) => recover(place, plan, context)),
    revoke: unlessClosed((handle, context) => revoke(place, handle, context)),
    probe: unlessClosed((handle, context) => probe(place, handle, context)),
    renewal: {
      kind: "extend",
      extend: unlessClosed((_plan, handle, expiresAt, context) =>
        extend(place, handle, expiresAt, context),
      ),
    },
    listing: {
      kind: "marked",
      list: unlessClosed((after, context) => list(place, after, context)),
    },
    selfCheck: unlessClosed((_roles, context) => selfCheck(place, context)),
    close: async () => {
      closing.close();
      await api.close();
    },
  };
}
