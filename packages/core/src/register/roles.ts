import { z } from "zod";
import {
  BrokerError,
  NAME_PATTERNS,
  parseRoleName,
  backendOfRole,
  durationSeconds,
  NO_TERMS,
  requirePrecondition,
  tagOf,
  type BackendId,
  type CallContext,
  type CredentialBackend,
  type Json,
  type JsonObject,
  type JsonSchema,
  type Precondition,
  type Put,
  type RegisteredRole,
  type Role,
} from "@mayfly/spec";
import { askToSwitch, authoriseAll, type Asks } from "../administer/authorise.ts";
import type { Author } from "../administer/author.ts";
import { decidedChange } from "../administer/decided-change.ts";
import { roleResource } from "../administer/resources.ts";
import type { CatalogView, KnownBackend } from "../catalog/catalog-view.ts";
import type { CoreParts } from "../core-parts.ts";
import { duration } from "../strict/duration.ts";
import { jsonObject } from "../strict/json-object.ts";
import { parseStrict, parsedBy } from "../strict/parse-strict.ts";
import { shownText } from "../strict/texts.ts";
import { requireSound, selfCheck } from "./self-check.ts";

export interface RolePut {
  readonly put: Put;
  readonly role: RegisteredRole;
}

/**
 * Registers a role as its file says it: the members that every role has, and beside them those of
 * its backend's type, which the type parses strictly and checks upstream. Throws `invalid_input`,
 * `not_found` (no such backend), `check_failed`.
 */
export async function putRole(
  parts: CoreParts,
  input: unknown,
  by: Author,
  context: CallContext,
  precondition: Precondition = NO_TERMS.precondition,
): Promise<RolePut> {
  const { form, settings } = parseRoleForm(input);
  const { role: name } = form;
  /** Of which revision of its backend the settings were found good. */
  let checked: number | null = null;
  const put = await decidedChange(parts, async (view) => {
    const existing = view.roles.get(name) ?? null;
    const { actor, decisionId } = await authoriseAll(
      parts,
      by,
      asksToRegister(view, form, existing),
    );
    const tag = existing === null ? null : tagOf(existing);
    requirePrecondition(precondition, tag, `role ${name}`);
    const backendId = backendOfRole(name);
    const known = view.backends.get(backendId);
    if (known === undefined || known.type === null) throw noBackendOfRole(backendId);
    const role = roleOf(form, known.type, settings, existing);
    if (checked !== known.registered.revision) {
      await checkSettings(parts, known, role.settings, context);
      checked = known.registered.revision;
    }
    const terms = { precondition, decisionId, decidedAt: view.version };
    return parts.ports.catalog.putRole(role, actor, terms);
  });
  const registered = (await parts.catalog.fresh()).roles.get(name);
  if (registered !== undefined) return { put, role: registered };
  throw new BrokerError("conflict", `role ${name} was deleted as soon as it was registered`);
}

/** Both as it would be and as it is: else whoever may change one kind could take over another. */
export function asksToRegister(
  view: CatalogView,
  form: RoleForm["form"],
  existing: Role | null,
): Asks {
  const { role: name, data_class: dataClass, reversibility, environment } = form;
  const asked = roleResource(view, name, existing);
  const enabled = form.enabled ?? existing?.enabled ?? true;
  return [
    {
      action: "register",
      resources: [
        { ...asked, dataClass, reversibility, environment },
        ...(existing === null ? [] : [asked]),
      ],
    },
    ...askToSwitch(existing, enabled, () => asked),
  ];
}

export const noBackendOfRole = (id: BackendId): BrokerError =>
  new BrokerError("not_found", `role.role: there is no backend ${id}`, { where: "role.role" });

const COMMON = z.strictObject({
  role: parsedBy(parseRoleName, {
    type: "string",
    pattern: NAME_PATTERNS.role,
    description: "Its backend and its own name: orders-db/reader.",
  }),
  enabled: z.boolean().optional().describe("Whether it issues; as it is, unless given."),
  description: shownText(500).optional().describe("For people; policies do not see it."),
  ttl_max: duration(1, 31 * 86_400)
    .optional()
    .describe("The longest that one credential lives without renewal: 30m, 2h, or seconds."),
  data_class: z
    .enum(["public", "internal", "confidential", "restricted"])
    .describe("What its credentials can reach; policies see it."),
  reversibility: z
    .enum(["read_only", "reversible", "irreversible"])
    .describe("What can be undone of what its credentials do; policies see it."),
  environment: z
    .string()
    .regex(/^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/, { error: "expected a name like prod" })
    .describe("prod, staging, dev: policies see it."),
});
/** The members that every role's file has; those of its backend's type stand beside them. */
export const ROLE_MEMBERS_SCHEMA: JsonSchema = jsonObject.parse(
  z.toJSONSchema(COMMON, { io: "input" }),
);
const COMMON_KEYS: ReadonlySet<string> = new Set(Object.keys(COMMON.shape));

/** Of a role that names no `ttl_max`, where its backend's type allows that long. */
const DEFAULT_TTL_SECONDS = 3600;

export interface RoleForm {
  readonly form: z.infer<typeof COMMON>;
  /** What stands beside it: the type's to parse. */
  readonly settings: JsonObject;
}

export function parseRoleForm(input: unknown): RoleForm {
  const { common, settings } = split(input);
  return { form: parseStrict(COMMON, common, "invalid_input", "role"), settings };
}

function split(input: unknown): { readonly common: JsonObject; readonly settings: JsonObject } {
  const members = Object.entries(parseStrict(jsonObject, input, "invalid_input", "role"));
  const pick = (isCommon: boolean): { readonly [key: string]: Json } =>
    Object.fromEntries(members.filter(([key]) => COMMON_KEYS.has(key) === isCommon));
  return { common: pick(true), settings: pick(false) };
}

export function roleOf(
  form: RoleForm["form"],
  type: CredentialBackend,
  settings: JsonObject,
  existing: Role | null,
): Role {
  const { ttlSecondsMin, ttlSecondsMax } = type.capabilities;
  const asked = form.ttl_max ?? null;
  if (asked !== null && (asked > ttlSecondsMax || asked < ttlSecondsMin)) {
    throw new BrokerError(
      "invalid_input",
      `role.ttl_max: type ${type.type} issues for ${ttlSecondsMin} to ${ttlSecondsMax} s`,
      { where: "role.ttl_max" },
    );
  }
  return {
    name: form.role,
    backendId: backendOfRole(form.role),
    enabled: form.enabled ?? existing?.enabled ?? true,
    description: form.description ?? "",
    ttlSecondsMax: asked ?? defaultTtl(type),
    dataClass: form.data_class,
    reversibility: form.reversibility,
    environment: form.environment,
    settings: type.parseRole(settings),
  };
}

const defaultTtl = (type: CredentialBackend): Role["ttlSecondsMax"] =>
  durationSeconds(Math.min(type.capabilities.ttlSecondsMax, DEFAULT_TTL_SECONDS));

async function checkSettings(
  parts: CoreParts,
  { registered }: KnownBackend,
  settings: JsonObject,
  context: CallContext,
): Promise<void> {
  const check = await parts.openBackends.use(registered, (open) =>
    selfCheck(parts.ports.clock, registered.id, open, [settings], context),
  );
  requireSound(registered.id, check);
}
