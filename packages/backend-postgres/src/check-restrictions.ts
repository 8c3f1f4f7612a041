import { z } from "zod";
import type { CheckProblem } from "@mayfly/spec";
import { reachedFrom } from "./check-handing-on.ts";
import type { Deadline } from "./endpoint.ts";
import type { Lane } from "./lane.ts";
import { quoteIdentifier } from "./quote.ts";

/** More of them say nothing new; the fix of the first ones shows the way. */
const SHOWN_MAX = 100;

const restrictionRows = z.array(
  z.object({
    policy: z.string(),
    target: z.string(),
    /** Whom it names. */
    named: z.array(z.string()),
    /** Of the groups that are asked about, those whose members it restricts. */
    groups: z.array(z.string()),
  }),
);

const RESTRICTIONS = (groups: readonly string[]): string => `
  WITH RECURSIVE ${reachedFrom(groups)}
  SELECT p.polname::text AS policy, p.polrelid::regclass::text AS target,
    to_json(ARRAY(SELECT r.rolname::text FROM pg_roles r
      WHERE r.oid = ANY (p.polroles) ORDER BY 1)) AS named,
    to_json(ARRAY(SELECT DISTINCT e.group_role::text FROM reached e
      WHERE e.oid = ANY (p.polroles) ORDER BY 1)) AS groups
  FROM pg_policy p
  WHERE NOT p.polpermissive AND p.polroles && ARRAY(SELECT oid FROM reached)
  ORDER BY 1, 2 LIMIT ${SHOWN_MAX}`;

/**
 * Whether a lease with fewer of a role's groups has less: a restrictive policy of row security that
 * names one of the groups takes rows away from its members alone, so that to leave that group out
 * would be to have more. Looked at whether row security is on or not: it may be, at any time.
 */
export async function checkRestrictions(
  lane: Lane,
  groupsOfRoles: readonly (readonly string[])[],
  deadline: Deadline,
): Promise<readonly CheckProblem[]> {
  const choices = groupsOfRoles.filter((groups) => groups.length > 1);
  if (choices.length === 0) return [];
  const [rows] = await lane.work.run(RESTRICTIONS([...new Set(choices.flat())]), deadline);
  const problems = restrictionRows.parse(rows).flatMap((row) =>
    choices.flatMap((groups): readonly CheckProblem[] => {
      const free = groups.filter((group) => !row.groups.includes(group));
      const isOfSome = free.length > 0 && free.length < groups.length;
      return isOfSome ? [restrictsSome(row, free)] : [];
    }),
  );
  return [...new Map(problems.map((problem) => [problem.fix, problem])).values()];
}

function restrictsSome(
  { policy, target, named }: z.infer<typeof restrictionRows>[number],
  free: readonly string[],
): CheckProblem {
  const everybody = [...named, ...free].map(quoteIdentifier).join(", ");
  return {
    code: "group_role_restricted",
    what:
      `The restrictive policy ${policy} on ${target} does not hold for ${free.join(", ")}, so a ` +
      "lease that asks for fewer group roles could see more.",
    fix:
      `ALTER POLICY ${quoteIdentifier(policy)} ON ${target} TO ${everybody}; ` +
      "-- or make a role of Mayfly for each group role",
  };
}
