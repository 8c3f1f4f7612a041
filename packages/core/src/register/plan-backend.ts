import {
  BrokerError,
  backendOfRole,
  parseBackendId,
  tagOf,
  type BackendId,
  type CallContext,
  type CredentialBackend,
  type JsonObject,
  type OpenBackend,
  type Put,
  type RegisteredBackend,
  type Role,
} from "@mayfly/spec";
import { requireAuthorised } from "../administer/authorise.ts";
import type { Author } from "../administer/author.ts";
import { backendHost } from "../catalog/backend-host.ts";
import type { CatalogView } from "../catalog/catalog-view.ts";
import type { CoreParts } from "../core-parts.ts";
import {
  asksToRegisterBackend,
  knownType,
  refuseDuringRotation,
  refuseOtherType,
  requireSoleNames,
  settingsOf,
  type BackendRegistration,
} from "./backends.ts";
import { changedFields, type FieldChange, type Shown } from "./changed-fields.ts";
import { asksToRegister, noBackendOfRole, parseRoleForm, roleOf } from "./roles.ts";
import { isSameJson } from "./same-json.ts";
import { requireSound, selfCheck } from "./self-check.ts";

/** What putting an object would do, or why it would be refused. Nothing was done. */
export type Planned =
  | {
      readonly name: string;
      readonly put: Put;
      readonly changes: readonly FieldChange[];
      /** Of what it was compared with, for the precondition of its put; null: it is not there. */
      readonly tag: string | null;
    }
  | { readonly name: string; readonly refused: BrokerError };

export interface BackendPlanRequest {
  readonly backend: BackendRegistration | null;
  /** All of one backend: the one above, or else one that is registered. */
  readonly roles: readonly unknown[];
  /**
   * Other backends as they will be by then: a name that one of them gives up is another's to take.
   * One whose configuration is refused counts as it is.
   */
  readonly before?: readonly { readonly id: string; readonly config: unknown }[];
}
export interface BackendPlan {
  readonly backend: Planned | null;
  readonly roles: readonly Planned[];
}

/** Where roles would be checked: at the backend as it would be. */
interface Target {
  readonly type: CredentialBackend;
  use<T>(run: (open: OpenBackend) => Promise<T>): Promise<T>;
  close(): void;
}

/**
 * What registering this backend and these roles would change, with the self-checks that
 * registering would make. Writes nothing. What a put would refuse is answered, object by object;
 * roles below a refused backend are refused with it.
 */
export async function planBackend(
  parts: CoreParts,
  request: BackendPlanRequest,
  by: Author,
  context: CallContext,
): Promise<BackendPlan> {
  const view = await parts.catalog.fresh();
  if (request.backend === null) {
    return { backend: null, roles: await planRoles(parts, view, request, null, by, context) };
  }
  const { id: name } = request.backend;
  try {
    const named = viewAfter(view, request.before ?? []);
    const { planned, target } = await planOne(parts, view, named, request.backend, by, context);
    try {
      const roles = await planRoles(parts, view, request, { id: name, target }, by, context);
      return { backend: planned, roles };
    } finally {
      target.close();
    }
  } catch (error) {
    const backend = refusal(name, error);
    const roles = request.roles.map((role) =>
      refusal(nameOf(role), noBackendYet(name, backend.refused)),
    );
    return { backend, roles };
  }
}

function refusal(name: string, error: unknown): { name: string; refused: BrokerError } {
  if (BrokerError.is(error)) return { name, refused: error };
  throw error;
}

const noBackendYet = (id: string, cause: BrokerError): BrokerError =>
  new BrokerError("not_found", `backend ${id} would be refused, and the role with it`, {
    where: "role.role",
    cause,
  });

/** For the answer alone; what is no name is refused by its parser. */
function nameOf(role: unknown): string {
  if (typeof role !== "object" || role === null || !("role" in role)) return "";
  return typeof role.role === "string" ? role.role : "";
}

/** For what no two backends have alike, and for nothing else. */
function viewAfter(
  view: CatalogView,
  before: NonNullable<BackendPlanRequest["before"]>,
): Pick<CatalogView, "backends"> {
  const backends = new Map(view.backends);
  for (const { id, config } of before) {
    const known = [...view.backends.values()].find(({ registered }) => registered.id === id);
    if (known === undefined || known.type === null) continue;
    const { registered, type } = known;
    try {
      const describedConfig = type.describeConfig(type.parseConfig(config));
      backends.set(registered.id, { type, registered: { ...registered, describedConfig } });
    } catch (error) {
      if (!BrokerError.is(error)) throw error;
    }
  }
  return { backends };
}

async function planOne(
  parts: CoreParts,
  view: CatalogView,
  named: Pick<CatalogView, "backends">,
  registration: BackendRegistration,
  by: Author,
  context: CallContext,
): Promise<{ readonly planned: Planned; readonly target: Target }> {
  const id = parseBackendId(registration.id, "backend");
  const type = knownType(parts, registration.type);
  const config = type.parseConfig(registration.config);
  const existing = view.backends.get(id)?.registered ?? null;
  const enabled = registration.enabled ?? existing?.enabled ?? true;
  await requireAuthorised(parts, by, asksToRegisterBackend({ id, type, existing, enabled }));
  refuseOtherType(id, existing, type);
  requireSoleNames(named, id, type, config, existing);
  await refuseDuringRotation(parts, existing, type, config);
  const to = { plain: config, shown: type.describeConfig(config) };
  const fields = await changedConfig(parts, existing, to);
  const changes: FieldChange[] = [
    ...(existing === null ? [field("type", null, type.type)] : []),
    ...(existing?.enabled === enabled || (existing === null && enabled)
      ? []
      : [field("enabled", existing?.enabled ?? null, enabled)]),
    ...fields.map((change) => ({ ...change, path: `config.${change.path}` })),
  ];
  const target = openTarget(parts, id, type, config);
  const put = existing === null ? "created" : changes.length === 0 ? "unchanged" : "updated";
  const tag = existing === null ? null : tagOf(existing);
  const planned = { name: id, put, changes, tag } as const;
  // One that stays as it is is not asked: its outage must not hinder the change of another.
  if (put === "unchanged") return { planned, target };
  try {
    await check(parts, id, target, settingsOf(view, id), context);
    return { planned, target };
  } catch (error) {
    target.close();
    throw error;
  }
}

const field = (path: string, from: FieldChange["from"], to: FieldChange["to"]): FieldChange => ({
  path,
  from,
  to,
  secret: false,
});

/** Guessing at the secrets of a stored configuration is paced. */
async function changedConfig(
  parts: CoreParts,
  existing: RegisteredBackend | null,
  to: Shown,
): Promise<readonly FieldChange[]> {
  const nothing = { plain: {}, shown: {} };
  if (existing === null) return changedFields(nothing, to);
  const guessedNothing = parts.guessPace.begin(existing.id);
  const before = await readShown(parts, existing);
  const fields = changedFields(before ?? nothing, to);
  if (before === null || !fields.some(({ secret }) => secret)) guessedNothing();
  return fields;
}

/** Null where the stored one can no longer be opened: then everything of it would be written. */
async function readShown(parts: CoreParts, existing: RegisteredBackend): Promise<Shown | null> {
  try {
    const plain = await parts.openBackends.readConfig(existing);
    return { plain, shown: existing.describedConfig };
  } catch (error) {
    const { log } = parts.ports;
    log.warn("the stored configuration was not compared", { backend: existing.id }, error);
    return null;
  }
}

/** Opened for the plan alone: nothing of it is kept. */
function openTarget(
  parts: CoreParts,
  id: BackendId,
  type: CredentialBackend,
  config: JsonObject,
): Target {
  const open = type.open(config, backendHost(parts.ports, id));
  return {
    type,
    use: (run) => run(open),
    close: () => parts.background.start(`close the planned ${id}`, () => open.close()),
  };
}

async function check(
  parts: CoreParts,
  id: BackendId,
  target: Target,
  settings: readonly JsonObject[],
  context: CallContext,
): Promise<void> {
  const { clock } = parts.ports;
  requireSound(id, await target.use((open) => selfCheck(clock, id, open, settings, context)));
}

async function planRoles(
  parts: CoreParts,
  view: CatalogView,
  request: BackendPlanRequest,
  planned: { readonly id: string; readonly target: Target } | null,
  by: Author,
  context: CallContext,
): Promise<readonly Planned[]> {
  const roles: Planned[] = [];
  for (const input of request.roles) {
    try {
      roles.push(await planRole(parts, view, input, planned, by, context));
    } catch (error) {
      roles.push(refusal(nameOf(input), error));
    }
  }
  return roles;
}

async function planRole(
  parts: CoreParts,
  view: CatalogView,
  input: unknown,
  planned: { readonly id: string; readonly target: Target } | null,
  by: Author,
  context: CallContext,
): Promise<Planned> {
  const { form, settings } = parseRoleForm(input);
  const existing = view.roles.get(form.role) ?? null;
  await requireAuthorised(parts, by, asksToRegister(view, form, existing));
  const id = backendOfRole(form.role);
  const target = planned?.id === id ? planned.target : registeredTarget(parts, view, id);
  const role = roleOf(form, target.type, settings, existing);
  const [from, to] = [existing === null ? {} : roleMembers(existing), roleMembers(role)];
  const changes = changedFields({ plain: from, shown: from }, { plain: to, shown: to });
  const put = existing === null ? "created" : isSameJson(from, to) ? "unchanged" : "updated";
  if (put !== "unchanged") await check(parts, id, target, [role.settings], context);
  const tag = existing === null ? null : tagOf(existing);
  return { name: role.name, put, changes, tag };
}

function registeredTarget(parts: CoreParts, view: CatalogView, id: BackendId): Target {
  const known = view.backends.get(id);
  if (known === undefined || known.type === null) throw noBackendOfRole(id);
  const { registered, type } = known;
  return {
    type,
    use: (run) => parts.openBackends.use(registered, run),
    close: () => undefined,
  };
}

/** Under the names that its file and the API give them. */
const roleMembers = (role: Role): JsonObject => ({
  ...role.settings,
  enabled: role.enabled,
  description: role.description,
  ttl_max_seconds: role.ttlSecondsMax,
  data_class: role.dataClass,
  reversibility: role.reversibility,
  environment: role.environment,
});
