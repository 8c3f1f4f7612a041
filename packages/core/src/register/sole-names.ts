import type {
  BackendId,
  CheckProblem,
  CredentialBackend,
  JsonObject,
  SoleNames,
} from "@mayfly/spec";
import type { CatalogView } from "../catalog/catalog-view.ts";

/**
 * Names of this backend that another one of its type has too, disabled ones included. `known` are
 * those that it had before: they are told where it is tested, and hinder no change of the rest.
 */
export function soleNameProblems(
  view: CatalogView,
  id: BackendId,
  { soleNames, type }: Pick<CredentialBackend, "soleNames" | "type">,
  described: JsonObject,
  known: JsonObject | null,
): readonly CheckProblem[] {
  if (soleNames === undefined) return [];
  const { what } = soleNames;
  const before = new Set(known === null ? [] : soleNames.of(known));
  const holders = holdersOf(view, id, type, soleNames);
  return soleNames.of(described).flatMap((name) => {
    const holder = before.has(name) ? undefined : holders.get(name);
    if (holder === undefined) return [];
    return {
      code: `${what}_of_another_backend`,
      what: `The ${what} ${name} is one of backend ${holder} already.`,
      fix: `Leave it to ${holder}, or take it out there first: no two backends have one ${what}.`,
    };
  });
}

function holdersOf(
  view: CatalogView,
  id: BackendId,
  type: string,
  soleNames: SoleNames,
): ReadonlyMap<string, BackendId> {
  const holders = new Map<string, BackendId>();
  for (const { registered } of view.backends.values()) {
    if (registered.id === id || registered.type !== type) continue;
    for (const name of soleNames.of(registered.describedConfig)) holders.set(name, registered.id);
  }
  return holders;
}
