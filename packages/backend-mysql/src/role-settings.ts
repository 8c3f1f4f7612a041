import { z } from "zod";
import { beyondRole, leaseRules, shortLeaseName } from "@mayfly/backend-kit";
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

export const leases = leaseRules({
  role,
  params,
  grant,
  nameOf: shortLeaseName,
  grantFor: (fixed, asked): MysqlGrant => {
    const beyond = asked.member_of?.find((name) => !fixed.member_of.includes(name));
    if (beyond !== undefined) {
      throw beyondRole("member_of", `the role is not a member of "${beyond}"`);
    }
    if ((asked.max_user_connections ?? 0) > fixed.max_user_connections) {
      const most = `the role allows at most ${fixed.max_user_connections}`;
      throw beyondRole("max_user_connections", most);
    }
    return {
      member_of: asked.member_of ?? fixed.member_of,
      max_user_connections: asked.max_user_connections ?? fixed.max_user_connections,
    };
  },
  isGrantWithin: (inner, outer) =>
    inner.member_of.every((name) => outer.member_of.includes(name)) &&
    inner.max_user_connections <= outer.max_user_connections,
});
