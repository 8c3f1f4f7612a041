import { createHash } from "node:crypto";
import type { ParsedPolicy } from "./parsed-policy.ts";

/** Raised when the normal form, or what a policy means under the schema, changes. */
const FORM = "mayfly-policies-1";

/**
 * Hex SHA-256 of the policies as Cedar parsed them, in the order of their ids, each as JSON with
 * sorted members: free of order, white space, comments and source names.
 */
export function digestOf(policies: readonly ParsedPolicy[]): string {
  const hash = createHash("sha256").update(`${FORM}\n`);
  for (const { id, json } of policies.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    hash.update(`${id}\n${canonical(json)}\n`);
  }
  return hash.digest("hex");
}

/** JSON with sorted members. Numbers are safe integers (`split-source.ts`), so they are exact. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`);
  return `{${members.join(",")}}`;
}
