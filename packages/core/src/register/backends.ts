import {
  BrokerError,
  Secret,
  bindingOf,
  parseBackendId,
  type Actor,
  type BackendId,
  type CallContext,
  type CredentialBackend,
  type InstantMs,
  type JsonObject,
  type Put,
  type RegisteredBackend,
  type SelfCheck,
} from "@mayfly/spec";
import { backendHost } from "../catalog/backend-host.ts";
import type { CatalogView } from "../catalog/catalog-view.ts";
import type { CoreParts } from "../core-parts.ts";
import { isSameJson } from "./same-json.ts";
import { requireSound, selfCheck } from "./self-check.ts";

export interface BackendRegistration {
  readonly id: string;
  readonly type: string;
  readonly config: unknown;
  /** Default: as it is, or true for a new one. */
  readonly enabled?: boolean;
}
/** A registered backend as anybody may see it. */
export interface DescribedBackend {
  readonly id: BackendId;
  readonly type: string;
  readonly revision: number;
  readonly enabled: boolean;
  readonly config: JsonObject;
  readonly upstreamIdentity: string;
  readonly updatedAt: InstantMs;
}
export interface BackendRegistered {
  readonly put: Put;
  readonly backend: DescribedBackend;
  readonly selfCheck: SelfCheck;
}

/**
 * Registers a backend, or changes one: strict parse, self-check of its rights, upstream identity,
 * seal, put. What is already there changes nothing. Throws `invalid_input`, `check_failed`,
 * `conflict` (another type, another upstream while leases live, or a rival change).
 */
export async function registerBackend(
  parts: CoreParts,
  registration: BackendRegistration,
  actor: Actor,
  context: CallContext,
): Promise<BackendRegistered> {
  const { ports } = parts;
  const id = parseBackendId(registration.id, "backend");
  const type = knownType(parts, registration.type);
  const config = type.parseConfig(registration.config);
  const view = await parts.catalog.fresh();
  const existing = view.backends.get(id)?.registered ?? null;
  refuseOtherType(id, existing, type);
  const check = await checkConfig(parts, id, type, config, view, context);
  requireSound(id, check);
  const enabled = registration.enabled ?? existing?.enabled ?? true;
  const isSame = existing !== null && (await isUnchanged(parts, existing, config, enabled, check));
  if (isSame) return { put: "unchanged", backend: describe(existing), selfCheck: check };
  const plain = Secret.of(JSON.stringify(config));
  const putAt = async (revision: number): Promise<Put> => {
    const backend: Omit<RegisteredBackend, "updatedAt"> = {
      id,
      type: type.type,
      revision,
      enabled,
      sealedConfig: await ports.sealer.seal(plain, bindingOf.backendConfig(id, revision)),
      describedConfig: type.describeConfig(config),
      upstreamIdentity: check.upstreamIdentity,
    };
    return ports.catalog.putBackend(backend, actor);
  };
  const put = await (existing === null ? putAsNew(putAt) : putAt(existing.revision + 1));
  const registered = (await parts.catalog.fresh()).backends.get(id)?.registered;
  if (registered !== undefined) return { put, backend: describe(registered), selfCheck: check };
  throw new BrokerError("conflict", `backend ${id} was deleted as soon as it was registered`);
}

/** A name that was registered and deleted before goes on counting its revisions. */
async function putAsNew(putAt: (revision: number) => Promise<Put>): Promise<Put> {
  try {
    return await putAt(1);
  } catch (error) {
    const isCounted = BrokerError.is(error) && error.code === "conflict";
    const next = isCounted ? error.public["nextRevision"] : undefined;
    if (typeof next !== "number" || next <= 1) throw error;
    return putAt(next);
  }
}

/** Checks a registered backend's rights for all of its roles. Problems are answered, not thrown. */
export async function testBackend(
  parts: CoreParts,
  id: BackendId,
  context: CallContext,
): Promise<SelfCheck> {
  const view = await parts.catalog.fresh();
  const known = view.backends.get(id);
  if (known === undefined) {
    throw new BrokerError("not_found", `There is no backend ${id}.`, { where: "backend" });
  }
  const { clock } = parts.ports;
  return parts.openBackends.use(known.registered, (open) =>
    selfCheck(clock, id, open, settingsOf(view, id), context),
  );
}

export const describe = (backend: RegisteredBackend): DescribedBackend => ({
  id: backend.id,
  type: backend.type,
  revision: backend.revision,
  enabled: backend.enabled,
  config: backend.describedConfig,
  upstreamIdentity: backend.upstreamIdentity,
  updatedAt: backend.updatedAt,
});

export function refuseOtherType(
  id: BackendId,
  existing: RegisteredBackend | null,
  type: CredentialBackend,
): void {
  if (existing === null || existing.type === type.type) return;
  throw new BrokerError(
    "conflict",
    `backend ${id} is of type ${existing.type}; register one of another type under another name`,
    { where: "type" },
  );
}

export function knownType(parts: CoreParts, type: string): CredentialBackend {
  const known = parts.ports.backendTypes.get(type);
  if (known !== undefined) return known;
  const names = [...parts.ports.backendTypes.keys()].toSorted().join(", ");
  throw new BrokerError("invalid_input", `type: no such backend type; there are ${names}`, {
    where: "type",
  });
}

/** Opened for the check alone: nothing of it is kept. */
async function checkConfig(
  parts: CoreParts,
  id: BackendId,
  type: CredentialBackend,
  config: JsonObject,
  view: CatalogView,
  context: CallContext,
): Promise<SelfCheck> {
  const open = type.open(config, backendHost(parts.ports, id));
  try {
    return await selfCheck(parts.ports.clock, id, open, settingsOf(view, id), context);
  } finally {
    parts.background.start(`close the checked ${id}`, () => open.close());
  }
}

export const settingsOf = (view: CatalogView, id: BackendId): readonly JsonObject[] =>
  [...view.roles.values()].filter((role) => role.backendId === id).map((role) => role.settings);

/** Compared in the clear: sealing the same text twice gives different bytes. */
async function isUnchanged(
  parts: CoreParts,
  existing: RegisteredBackend,
  config: JsonObject,
  enabled: boolean,
  check: SelfCheck,
): Promise<boolean> {
  if (existing.enabled !== enabled) return false;
  if (existing.upstreamIdentity !== check.upstreamIdentity) return false;
  try {
    return isSameJson(await parts.openBackends.readConfig(existing), config);
  } catch (error) {
    // Registering again is the way out when the stored one can no longer be opened.
    parts.ports.log.warn(
      "the stored configuration was not compared",
      { backend: existing.id },
      error,
    );
    return false;
  }
}
