import { z } from "zod";
import { leaseName, parseStrict, plainObject, toJsonSchema } from "@mayfly/backend-kit";
import {
  InvalidInput,
  type IssuePlan,
  type JsonObject,
  type JsonSchema,
  type PlanRequest,
} from "@mayfly/spec";
import { pgName } from "./connection-settings.ts";

/** One name or several; the normal form is a sorted list without repetitions. */
const groups = z
  .union([pgName().transform((name) => [name]), z.array(pgName()).min(1).max(16)], {
    message: "expected the name of a group role, or a list of 1 to 16",
  })
  .transform((names) => [...new Set(names)].toSorted());

const connectionLimit = z.int().min(1).max(1_000);
const timeoutSeconds = z.int().min(1).max(86_400);

const role = z.strictObject({
  member_of: groups.describe("The group roles that carry the privileges; nothing else is scope."),
  owner: pgName().optional().describe("Who gets what a lease of this role owns at its end."),
  connection_limit: connectionLimit.default(4).describe("Sessions at once, kept by the server."),
  search_path: z.array(pgName()).min(1).max(16).optional().describe("A convenience, not scope."),
  statement_timeout_seconds: timeoutSeconds
    .optional()
    .describe("A default that the session may change: a convenience, not scope."),
  read_only: z
    .boolean()
    .default(false)
    .describe("Transactions are read-only unless the session says otherwise: not scope."),
});

const params = z.strictObject({
  member_of: groups.optional().describe("Fewer group roles than the role has."),
  connection_limit: connectionLimit.optional().describe("No more than the role's."),
  statement_timeout_seconds: timeoutSeconds.optional().describe("No more than the role's."),
  read_only: z.literal(true).optional(),
});

const grant = z.strictObject({
  member_of: z.array(pgName()).min(1).max(16),
  owner: pgName().nullable(),
  connection_limit: connectionLimit,
  search_path: z.array(pgName()).max(16).nullable(),
  statement_timeout_seconds: timeoutSeconds.nullable(),
  read_only: z.boolean(),
});
export type RoleSettings = z.infer<typeof role>;
export type PgGrant = z.infer<typeof grant>;

export const ROLE_SCHEMA: JsonSchema = toJsonSchema(role);
export const PARAMS_SCHEMA: JsonSchema = toJsonSchema(params);

export const roleSettingsOf = (input: unknown): RoleSettings => parseStrict(role, input, "role");
export const parseRole = (input: unknown): JsonObject => plainObject(roleSettingsOf(input));
export const parseParams = (input: unknown): JsonObject =>
  plainObject(parseStrict(params, input, "params"));
export const grantOf = (plan: IssuePlan): PgGrant => parseStrict(grant, plan.grant, "plan.grant");

function atMost(asked: number | undefined, most: number | undefined, where: string): void {
  if (asked !== undefined && most !== undefined && asked > most) {
    throw new InvalidInput(`params.${where}: the role allows at most ${most}`, {
      where: `params.${where}`,
    });
  }
}

export function planLease(request: PlanRequest): IssuePlan {
  const fixed = roleSettingsOf(request.role);
  const asked = parseStrict(params, request.params, "params");
  const beyond = asked.member_of?.find((group) => !fixed.member_of.includes(group));
  if (beyond !== undefined) {
    throw new InvalidInput(`params.member_of: the role is not a member of "${beyond}"`, {
      where: "params.member_of",
    });
  }
  atMost(asked.connection_limit, fixed.connection_limit, "connection_limit");
  atMost(
    asked.statement_timeout_seconds,
    fixed.statement_timeout_seconds,
    "statement_timeout_seconds",
  );
  return {
    leaseId: request.leaseId,
    externalName: leaseName(request.installation, request.leaseId),
    expiresAt: request.expiresAt,
    grant: {
      member_of: asked.member_of ?? fixed.member_of,
      owner: fixed.owner ?? null,
      connection_limit: asked.connection_limit ?? fixed.connection_limit,
      search_path: fixed.search_path ?? null,
      statement_timeout_seconds:
        asked.statement_timeout_seconds ?? fixed.statement_timeout_seconds ?? null,
      read_only: asked.read_only ?? fixed.read_only,
    },
  };
}

/**
 * Authority is membership, connections and time. Conveniences count too, so that a parent that
 * was told "read-only by default" sees no child that is not.
 */
export function isWithinLease(inner: IssuePlan, outer: IssuePlan): boolean {
  const [narrow, wide] = [grant.safeParse(inner.grant), grant.safeParse(outer.grant)];
  if (!narrow.success || !wide.success || inner.expiresAt > outer.expiresAt) return false;
  const [a, b] = [narrow.data, wide.data];
  return (
    a.member_of.every((group) => b.member_of.includes(group)) &&
    a.connection_limit <= b.connection_limit &&
    (b.statement_timeout_seconds === null ||
      (a.statement_timeout_seconds !== null &&
        a.statement_timeout_seconds <= b.statement_timeout_seconds)) &&
    (a.read_only || !b.read_only) &&
    a.owner === b.owner
  );
}
