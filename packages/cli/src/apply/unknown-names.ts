import { namedObjects, type NamedObject } from "@mayfly/policy";
import type { PolicySource } from "@mayfly/spec";
import type { DesiredObject } from "./desired-objects.ts";
import type { PlannedDeletion, Registered } from "./plan-prune.ts";

/**
 * By source, what its policies name that will not be there: in no file, and not registered or about
 * to be deleted. Nothing refuses it, since policies may come first; but a mistyped forbid forbids
 * nothing, and nobody would be told.
 */
export function unknownNames(
  sources: readonly PolicySource[],
  desired: readonly DesiredObject[],
  registered: Registered,
  deletions: readonly PlannedDeletion[],
): ReadonlyMap<string, string> {
  const key = ({ kind, name }: Pick<NamedObject, "kind" | "name">): string => `${kind} ${name}`;
  const known = new Set([
    ...registered.backends.map(({ id }) => `backend ${id}`),
    ...registered.roles.map(({ role }) => `role ${role}`),
    ...registered.trust.map(({ name }) => `trust ${name}`),
    ...registered.servers.map(({ name }) => `resource_server ${name}`),
  ]);
  for (const { kind, name, action } of deletions) {
    if (action === "delete") known.delete(`${kind} ${name}`);
  }
  for (const { kind, name } of desired) known.add(`${kind} ${name}`);
  const unknown = namedObjects(sources).filter((named) => !known.has(key(named)));
  const bySource = Map.groupBy(unknown, ({ source }) => source);
  return new Map(
    [...bySource].map(([source, names]) => [
      source,
      `names what you see neither in a file nor registered: ${names.map(key).join(", ")}`,
    ]),
  );
}
