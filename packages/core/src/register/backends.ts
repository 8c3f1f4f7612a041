import {
  BrokerError,
  NO_TERMS,
  Secret,
  bindingOf,
  parseBackendId,
  requirePrecondition,
  tagOf,
  type BackendCheck,
  type BackendId,
  type CallContext,
  type ChangeTerms,
  type CredentialBackend,
  type InstantMs,
  type JsonObject,
  type Precondition,
  type Put,
  type RegisteredBackend,
  type SelfCheck,
} from "@mayfly/spec";
import { askToSwitch, authorise, authoriseAll, type Asks } from "../administer/authorise.ts";
import type { Author, Authority } from "../administer/author.ts";
import { decidedChange } from "../administer/decided-change.ts";
import { backendResource } from "../administer/resources.ts";
import { backendHost } from "../catalog/backend-host.ts";
import type { CatalogView } from "../catalog/catalog-view.ts";
import type { CoreParts } from "../core-parts.ts";
import { rotationProblems } from "./rotation-problems.ts";
import { isSameJson } from "./same-json.ts";
import { requireSound, selfCheck } from "./self-check.ts";
import { soleNameProblems } from "./sole-names.ts";

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
 * Of a change: a caller's own, or a step of replacing the broker's secret. `rotation_anew` is a
 * revision of its own though nothing is different, by which what stands on the one before is
 * refused.
 */
export type ChangeKind = "given" | "rotation" | "rotation_anew";

/**
 * Registers a backend, or changes one: strict parse, self-check of its rights, upstream identity,
 * seal, put. What is already there changes nothing. Throws `invalid_input`, `check_failed`,
 * `conflict` (another type, another upstream while leases live, or a rival change).
 */
export async function registerBackend(
  parts: CoreParts,
  registration: BackendRegistration,
  by: Author,
  context: CallContext,
  precondition: Precondition = NO_TERMS.precondition,
  kind: ChangeKind = "given",
): Promise<BackendRegistered> {
  const id = parseBackendId(registration.id, "backend");
  const type = knownType(parts, registration.type);
  const config = type.parseConfig(registration.config);
  const checkedFor = checksOf(id, (view) => checkConfig(parts, id, type, config, view, context));
  const { put, check } = await decidedChange(parts, async (view) => {
    const existing = view.backends.get(id)?.registered ?? null;
    const enabled = registration.enabled ?? existing?.enabled ?? true;
    const asks = asksToRegisterBackend({ id, type, existing, enabled });
    const authority = await authoriseAll(parts, by, asks);
    // Before anything is asked of the upstream; it is looked at again when the change is made.
    requirePrecondition(precondition, existing === null ? null : tagOf(existing), `backend ${id}`);
    refuseOtherType(id, existing, type);
    requireSoleNames(view, id, type, config, existing);
    if (kind === "given") await refuseDuringRotation(parts, existing, type, config);
    const check = await checkedFor(view, settingsOf(view, id));
    requireSound(id, check);
    const isSame =
      existing !== null &&
      kind !== "rotation_anew" &&
      (await isUnchanged(parts, existing, config, enabled, check));
    if (isSame) return { put: "unchanged", check } as const;
    const terms = { precondition, decisionId: authority.decisionId, decidedAt: view.version };
    const change = { id, type, config, enabled, check, existing };
    return { put: await putConfig(parts, change, authority, terms), check };
  });
  const registered = (await parts.catalog.fresh()).backends.get(id)?.registered;
  if (registered !== undefined) {
    await makeFirstKeys(parts, registered, type);
    await keepCheck(parts, id, registered.revision, { kind: "answered", check });
    return { put, backend: describe(registered), selfCheck: check };
  }
  throw new BrokerError("conflict", `backend ${id} was deleted as soon as it was registered`);
}

/** Of the view that the change is made on: of two at once, one is decided anew and refused. */
export function requireSoleNames(
  view: Pick<CatalogView, "backends">,
  id: BackendId,
  type: CredentialBackend,
  config: JsonObject,
  existing: RegisteredBackend | null,
): void {
  const before = existing === null ? null : existing.describedConfig;
  const problems = soleNameProblems(view, id, type, type.describeConfig(config), before);
  requireSound(id, { problems });
}

/**
 * While the broker's secret is replaced nobody knows which of both the upstream will have: a change
 * that has only one of them may be the one that locks the broker out.
 */
export async function refuseDuringRotation(
  parts: CoreParts,
  existing: RegisteredBackend | null,
  { rotation }: CredentialBackend,
  config: JsonObject,
): Promise<void> {
  if (existing === null || rotation === undefined || rotation.isUnderWay(config)) return;
  const stored = await storedConfig(parts, existing);
  if (stored === null || !rotation.isUnderWay(stored)) return;
  throw new BrokerError(
    "conflict",
    `the secret of backend ${existing.id} is being replaced: let \`mayfly backend rotate\` finish ` +
      "first; it goes on where it was broken off",
    { where: "backend.config" },
  );
}

/** So that verifiers find them before the first token; the timer would be a minute later. */
async function makeFirstKeys(
  { ports, openBackends }: CoreParts,
  registered: RegisteredBackend,
  { signsTokens, certifies }: CredentialBackend,
): Promise<void> {
  if (signsTokens !== true && certifies !== true) return;
  try {
    await openBackends.use(registered, async ({ verification, authority }) =>
      (verification ?? authority)?.rotate(ports.clock.now()),
    );
  } catch (error) {
    const fields = { backend: registered.id };
    ports.log.warn("a new backend has no keys yet: the next look makes them", fields, error);
  }
}

/** Asks the upstream once for the same roles of the same backend, however often it is decided. */
function checksOf(
  id: BackendId,
  look: (view: CatalogView) => Promise<SelfCheck>,
): (view: CatalogView, roles: readonly JsonObject[]) => Promise<SelfCheck> {
  interface Last {
    readonly revision: number | undefined;
    readonly roles: readonly JsonObject[];
    readonly check: SelfCheck;
  }
  let last: Last | null = null;
  return async (view, roles) => {
    const revision = view.backends.get(id)?.registered.revision;
    const isSame = last?.revision === revision && isSameJson([...(last?.roles ?? [])], [...roles]);
    if (last !== null && isSame) return last.check;
    const check = await look(view);
    last = { revision, roles, check };
    return check;
  };
}

interface BackendChange {
  readonly id: BackendId;
  readonly type: CredentialBackend;
  readonly config: JsonObject;
  readonly enabled: boolean;
  readonly check: SelfCheck;
  readonly existing: RegisteredBackend | null;
}

async function putConfig(
  { ports }: CoreParts,
  { id, type, config, enabled, check, existing }: BackendChange,
  { actor }: Authority,
  terms: ChangeTerms,
): Promise<Put> {
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
    return ports.catalog.putBackend(backend, actor, terms);
  };
  return existing === null ? putAsNew(putAt) : putAt(existing.revision + 1);
}

/** Both as it would be and as it is. */
export const asksToRegisterBackend = ({
  id,
  type,
  existing,
  enabled,
}: Pick<BackendChange, "id" | "type" | "existing" | "enabled">): Asks => [
  {
    action: "register",
    resources: [
      backendResource(id, type.type),
      ...(existing === null ? [] : [backendResource(id, existing.type)]),
    ],
  },
  ...askToSwitch(existing, enabled, () => backendResource(id, existing?.type ?? null)),
];

/** A name that was registered and deleted before goes on counting its revisions. */
async function putAsNew(putAt: (revision: number) => Promise<Put>): Promise<Put> {
  try {
    return await putAt(1);
  } catch (error) {
    const isCounted = BrokerError.is(error) && error.code === "conflict";
    const next = isCounted ? error.public["next_revision"] : undefined;
    if (typeof next !== "number" || next <= 1) throw error;
    return putAt(next);
  }
}

/** Best effort: what was found is answered, whether or not it could be kept. */
export async function keepCheck(
  parts: CoreParts,
  id: BackendId,
  revision: number,
  outcome: BackendCheck["outcome"],
): Promise<void> {
  try {
    await parts.ports.catalog.recordCheck(id, { revision, outcome });
  } catch (error) {
    parts.ports.log.warn("the result of a self-check was not kept", { backend: id }, error);
  }
}

/** Checks a registered backend's rights for all of its roles. Problems are answered, not thrown. */
export async function testBackend(
  parts: CoreParts,
  id: BackendId,
  by: Author,
  context: CallContext,
): Promise<SelfCheck> {
  const view = await parts.catalog.fresh();
  const known = view.backends.get(id)?.registered ?? null;
  const resources = [backendResource(id, known?.type ?? null)] as const;
  await authorise(parts, by, { action: "test", resources });
  if (known === null) throw noBackend(id);
  const { clock } = parts.ports;
  try {
    const looked = await parts.openBackends.use(known, (open) =>
      selfCheck(clock, id, open, settingsOf(view, id), context),
    );
    const type = knownType(parts, known.type);
    const shared = soleNameProblems(view, id, type, known.describedConfig, null);
    const rotated = rotationProblems(type, await parts.openBackends.readConfig(known));
    const check = { ...looked, problems: [...looked.problems, ...shared, ...rotated] };
    await keepCheck(parts, id, known.revision, { kind: "answered", check });
    return check;
  } catch (error) {
    const said = BrokerError.is(error) ? error.message : "it failed by a defect";
    await keepCheck(parts, id, known.revision, { kind: "failed", error: said });
    throw error;
  }
}

export const noBackend = (id: BackendId): BrokerError =>
  new BrokerError("not_found", `There is no backend ${id}.`, { where: "backend" });

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
  const stored = await storedConfig(parts, existing);
  return stored !== null && isSameJson(stored, config);
}

/** Null, and told: registering again is the way out when the stored one can no longer be opened. */
async function storedConfig(
  { openBackends, ports }: CoreParts,
  existing: RegisteredBackend,
): Promise<JsonObject | null> {
  try {
    return await openBackends.readConfig(existing);
  } catch (error) {
    const fields = { backend: existing.id };
    ports.log.warn("the stored configuration was not compared", fields, error);
    return null;
  }
}
