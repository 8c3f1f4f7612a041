import type { RegisteredNames } from "@mayfly/spec";
import type { Statement } from "./sql.ts";

type Known = Readonly<Record<keyof RegisteredNames, boolean>>;

/**
 * Names that were never registered. Rows of what is deleted stay, so this is a look at few rows by
 * their keys; only a domain that no root has now is looked for among the events of trust roots.
 */
export async function unknownNames(
  sql: Statement,
  { backendId, role, trustRoot, trustDomain }: RegisteredNames,
): Promise<readonly (keyof RegisteredNames)[]> {
  const [backend = null, shape = null, root = null, domain = null] = [
    backendId,
    role,
    trustRoot,
    trustDomain,
  ];
  if ([backend, shape, root, domain].every((name) => name === null)) return [];
  const [known] = await sql<Known[]>`
    SELECT
      ${backend}::text IS NULL OR EXISTS (
        SELECT FROM mayfly.backends AS b WHERE b.id = ${backend}::text) AS "backendId",
      ${shape}::text IS NULL OR EXISTS (
        SELECT FROM mayfly.roles AS r WHERE r.name = ${shape}::text) AS "role",
      ${root}::text IS NULL OR EXISTS (
        SELECT FROM mayfly.trust_roots AS t WHERE t.name = ${root}::text) AS "trustRoot",
      ${domain}::text IS NULL OR EXISTS (
        SELECT FROM mayfly.trust_roots AS t
        WHERE t.definition -> 'config' ->> 'trust_domain' = ${domain}::text
      ) OR EXISTS (
        SELECT FROM mayfly.events AS e
        WHERE e.kind = 'trust.put'
          AND e.data -> 'root' -> 'config' ->> 'trust_domain' = ${domain}::text
      ) AS "trustDomain"`;
  if (known === undefined) throw new Error("a look at names gave no row");
  return MEMBERS.filter((member) => !known[member]);
}

const MEMBERS = ["backendId", "role", "trustRoot", "trustDomain"] as const;
