import type { ParsedPolicy } from "./parsed-policy.ts";
import {
  PREPARED_POLICIES_MAX,
  PREPARED_SETS_MAX,
  type PreparedPolicies,
} from "./prepared-policies.ts";

/**
 * Evaluation costs time for each policy, and most policies name one role in their scope
 * (`resource == Role::"…"`). Such a policy neither applies nor can fail for another role, so a
 * decision needs the policies of its role and those that name none. Where the slices together would
 * fill more than a quarter of what may be held parsed, the whole set stands for each: two or three
 * engines, old and new, must be able to live side by side without pushing each other out.
 */
export function sliceByRole(
  policies: readonly ParsedPolicy[],
): (role: string | null) => PreparedPolicies {
  const pinned = Map.groupBy(policies, roleInScope);
  const general = pinned.get(null) ?? [];
  pinned.delete(null);
  const total = policies.length + pinned.size * general.length;
  if (total > PREPARED_POLICIES_MAX / 4 || pinned.size > PREPARED_SETS_MAX / 4) {
    const whole = prepared(policies);
    return () => whole;
  }
  const rest = prepared(general);
  const slices = new Map(
    [...pinned].map(([role, own]) => [role, prepared([...general, ...own])] as const),
  );
  return (role) => slices.get(role) ?? rest;
}

function roleInScope({ json }: ParsedPolicy): string | null {
  const { resource } = json;
  if (resource.op !== "==" || !("entity" in resource)) return null;
  const entity = "__entity" in resource.entity ? resource.entity.__entity : resource.entity;
  return entity.type === "Role" ? entity.id : null;
}

export const prepared = (policies: readonly ParsedPolicy[]): PreparedPolicies => ({
  policies: Object.fromEntries(policies.map(({ id, text }) => [id, text])),
  count: policies.length,
});
