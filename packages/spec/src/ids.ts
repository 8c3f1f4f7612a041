import type { Brand } from "./brand.ts";
import { BrokerError, InvalidInput } from "./errors.ts";
import { instantMs, type InstantMs } from "./time.ts";

/**
 * Ids carry their kind, sort by time and survive copy and paste: a prefix, then a UUIDv7
 * (RFC 9562 section 5.7) as 32 lowercase hex digits without dashes.
 */
export type TaskId = Brand<`task_${string}`, "TaskId">;
export type LeaseId = Brand<`lease_${string}`, "LeaseId">;
export type DecisionId = Brand<`dec_${string}`, "DecisionId">;
export type EventId = Brand<`evt_${string}`, "EventId">;
/** Of an end by selector. */
export type SelectorEndId = Brand<`end_${string}`, "SelectorEndId">;

export const ID_PREFIX = {
  task: "task_",
  lease: "lease_",
  decision: "dec_",
  event: "evt_",
  selectorEnd: "end_",
} as const;
export type IdKind = keyof typeof ID_PREFIX;
export type IdOf = {
  task: TaskId;
  lease: LeaseId;
  decision: DecisionId;
  event: EventId;
  selectorEnd: SelectorEndId;
};

const HEX_32 = /^[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$/;
/** What {@link parseId} takes, for JSON Schemas. */
export const idPattern = (kind: IdKind): string => `^${ID_PREFIX[kind]}${HEX_32.source.slice(1)}`;

/** Throws {@link InvalidInput} that names `where`, unless `input` is a well-formed id of `kind`. */
export function parseId<K extends IdKind>(kind: K, input: unknown, where: string): IdOf[K] {
  const prefix = ID_PREFIX[kind];
  if (
    typeof input !== "string" ||
    !input.startsWith(prefix) ||
    !HEX_32.test(input.slice(prefix.length))
  ) {
    throw new InvalidInput(`${where}: expected an id like ${prefix}0199… (32 hex digits)`, {
      where,
    });
  }
  return input as IdOf[K];
}

const UUID_7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/**
 * The id for a UUIDv7 in its dashed form, as stored. Throws `internal` for another UUID: whoever
 * asks did not write it, so it is no fault of the request.
 */
export function idFromUuid<K extends IdKind>(kind: K, uuid: string): IdOf[K] {
  // As PostgreSQL writes it: each event of the log has three, and each row of an exchange.
  if (UUID_7.test(uuid)) return (ID_PREFIX[kind] + digitsOf(uuid)) as IdOf[K];
  const id = ID_PREFIX[kind] + uuid.replaceAll("-", "").toLowerCase();
  try {
    return parseId(kind, id, kind);
  } catch (cause) {
    throw new BrokerError("internal", `A stored ${kind} has an id that is none.`, { cause });
  }
}

const digitsOf = (uuid: string): string =>
  `${uuid.slice(0, 8)}${uuid.slice(9, 13)}${uuid.slice(14, 18)}${uuid.slice(19, 23)}${uuid.slice(24)}`;

/** The dashed form of an id's UUID, as stored. */
export function uuidOfId(id: IdOf[IdKind]): string {
  const hex = id.slice(id.indexOf("_") + 1);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** When it was minted, by its process's clock: the time in its UUIDv7. */
export function instantOfId(id: IdOf[IdKind]): InstantMs {
  return instantMs(Number.parseInt(id.slice(id.indexOf("_") + 1).slice(0, 12), 16));
}

/** A backend's registered name, such as `orders-db`. */
export type BackendId = Brand<string, "BackendId">;
/** `<backend>/<shape>`, such as `orders-db/reader`. */
export type RoleName = Brand<string, "RoleName">;
/** The `@id` annotation of a policy. */
export type PolicyId = Brand<string, "PolicyId">;
/** A trust root's registered name, such as `acme.test`. */
export type TrustRootName = Brand<string, "TrustRootName">;
/** A resource server's registered name, such as `reports-api`. */
export type ResourceServerName = Brand<string, "ResourceServerName">;
/** Random mark of one installation, 8 characters of `a-z2-7`; part of every name that we make. */
export type InstallationId = Brand<string, "InstallationId">;

const SLUG = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const DOTTED_SLUG = /^[a-z0-9](?:[a-z0-9.-]{0,126}[a-z0-9])?$/;

function parsePattern<T extends string>(
  pattern: RegExp,
  input: unknown,
  where: string,
  expected: string,
): T {
  if (typeof input !== "string" || !pattern.test(input)) {
    throw new InvalidInput(`${where}: expected ${expected}`, { where });
  }
  return input as T;
}

export const parseBackendId = (input: unknown, where: string): BackendId =>
  parsePattern(SLUG, input, where, "a backend name: 1 to 63 of a-z, 0-9 and inner dashes");
export const parseTrustRootName = (input: unknown, where: string): TrustRootName =>
  parsePattern(DOTTED_SLUG, input, where, "a trust name: 1 to 128 of a-z, 0-9, inner dots, dashes");
export const parseResourceServerName = (input: unknown, where: string): ResourceServerName =>
  parsePattern(SLUG, input, where, "a server's name: 1 to 63 of a-z, 0-9 and inner dashes");
export const parsePolicyId = (input: unknown, where: string): PolicyId =>
  parsePattern(
    /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,127})$/,
    input,
    where,
    "a policy id: 1 to 128 of A-Z, a-z, 0-9, dots, dashes and underscores",
  );
export const parseInstallationId = (input: unknown, where: string): InstallationId =>
  parsePattern(/^[a-z2-7]{8}$/, input, where, "an installation id: 8 of a-z and 2-7");

const ROLE = /^([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)\/[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$/;
export const parseRoleName = (input: unknown, where: string): RoleName =>
  parsePattern(ROLE, input, where, "a role name like orders-db/reader");
/** What the parsers above take, for JSON Schemas. */
export const NAME_PATTERNS = {
  backend: SLUG.source,
  trust: DOTTED_SLUG.source,
  resourceServer: SLUG.source,
  role: ROLE.source.replaceAll(String.raw`\/`, "/"),
} as const;
/** The backend that a role belongs to: what stands before the slash. */
export const backendOfRole = (role: RoleName): BackendId =>
  role.slice(0, role.indexOf("/")) as BackendId;
