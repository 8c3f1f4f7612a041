import { z } from "zod";
import { beyondRole, leaseRules } from "@mayfly/backend-kit";
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
  owner: pgName()
    .optional()
    .describe("Who gets the data that a lease of this role owns at its end."),
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
export type PgGrant = z.infer<typeof grant>;

function atMost(asked: number | undefined, most: number | undefined, member: string): void {
  if (asked !== undefined && most !== undefined && asked > most) {
    throw beyondRole(member, `the role allows at most ${most}`);
  }
}

export const leases = leaseRules({
  role,
  params,
  grant,
  grantFor: (fixed, asked): PgGrant => {
    const beyond = asked.member_of?.find((group) => !fixed.member_of.includes(group));
    if (beyond !== undefined) {
      throw beyondRole("member_of", `the role is not a member of "${beyond}"`);
    }
    const { connection_limit: limit, statement_timeout_seconds: timeout } = asked;
    atMost(limit, fixed.connection_limit, "connection_limit");
    atMost(timeout, fixed.statement_timeout_seconds, "statement_timeout_seconds");
    return {
      member_of: asked.member_of ?? fixed.member_of,
      owner: fixed.owner ?? null,
      connection_limit: limit ?? fixed.connection_limit,
      search_path: fixed.search_path ?? null,
      statement_timeout_seconds: timeout ?? fixed.statement_timeout_seconds ?? null,
      read_only: asked.read_only ?? fixed.read_only,
    };
  },
  // Authority is membership, connections and time. Conveniences count too, so that a parent that
  // was told "read-only by default" sees no child that is not.
  isGrantWithin: (a, b) =>
    a.member_of.every((group) => b.member_of.includes(group)) &&
    a.connection_limit <= b.connection_limit &&
    (b.statement_timeout_seconds === null ||
      (a.statement_timeout_seconds !== null &&
        a.statement_timeout_seconds <= b.statement_timeout_seconds)) &&
    (a.read_only || !b.read_only) &&
    a.owner === b.owner,
});
