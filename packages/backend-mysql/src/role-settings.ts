import { z } from "zod";
import { parseStrict, plainObject, shortLeaseName, toJsonSchema } from "@mayfly/backend-kit";
import {
  InvalidInput,
  type IssuePlan,
  type JsonObject,
  type JsonSchema,
  type PlanRequest,
} from "@mayfly/spec";
import { plainName } from "./connection-settings.ts";

/** One name or several, without repetitions; the first is the role that a session begins with. */
const roles = z
  .union([plainName().transform((name) => [name]), z.array(plainName()).min(1).max(16)], {
    message: "expected the name of a role, or a list of 1 to 16",
  })
  .transform((names) => [...new Set(names)]);
const connections = z.int().min(1).max(1_000);

const role = z.strictObject({
  member_of: roles.describe(
    "The server's roles that carry the privileges; nothing else is scope. A session begins with " +
      "the first. MariaDB lets a session have one at a time.",
  ),
  max_user_connections: connections.default(4).describe("Sessions at once, kept by the server."),
});
const params = z.strictObject({
  member_of: roles.optional().describe("Fewer roles than the role has."),
  max_user_connections: connections.optional().describe("No more than the role's."),
});
const grant = z.strictObject({
  member_of: z.array(plainName()).min(1).max(16),
  max_user_connections: connections,
});
export type MysqlGrant = z.infer<typeof grant>;

export const ROLE_SCHEMA: JsonSchema = toJsonSchema(role);
export const PARAMS_SCHEMA: JsonSchema = toJsonSchema(params);

export const roleSettingsOf = (input: unknown): z.infer<typeof role> =>
  parseStrict(role, input, "role");
export const parseRole = (input: unknown): JsonObject => plainObject(roleSettingsOf(input));
export const parseParams = (input: unknown): JsonObject =>
  plainObject(parseStrict(params, input, "params"));
export const grantOf = (plan: IssuePlan): MysqlGrant =>
  parseStrict(grant, plan.grant, "plan.grant");

export function planLease(request: PlanRequest): IssuePlan {
  const fixed = roleSettingsOf(request.role);
  const asked = parseStrict(params, request.params, "params");
  const beyond = asked.member_of?.find((name) => !fixed.member_of.includes(name));
  if (beyond !== undefined) {
    throw new InvalidInput(`params.member_of: the role is not a member of "${beyond}"`, {
      where: "params.member_of",
    });
  }
  if ((asked.max_user_connections ?? 0) > fixed.max_user_connections) {
    throw new InvalidInput(
      `params.max_user_connections: the role allows at most ${fixed.max_user_connections}`,
      { where: "params.max_user_connections" },
    );
  }
  return {
    leaseId: request.leaseId,
    externalName: shortLeaseName(request.installation, request.leaseId),
    expiresAt: request.expiresAt,
    grant: {
      member_of: asked.member_of ?? fixed.member_of,
      max_user_connections: asked.max_user_connections ?? fixed.max_user_connections,
    },
  };
}

export function isWithinLease(inner: IssuePlan, outer: IssuePlan): boolean {
  const [narrow, wide] = [grant.safeParse(inner.grant), grant.safeParse(outer.grant)];
  if (!narrow.success || !wide.success || inner.expiresAt > outer.expiresAt) return false;
  return (
    narrow.data.member_of.every((name) => wide.data.member_of.includes(name)) &&
    narrow.data.max_user_connections <= wide.data.max_user_connections
  );
}
