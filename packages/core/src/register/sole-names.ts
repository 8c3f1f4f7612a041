import type {
  BackendId,
  CheckProblem,
  CredentialBackend,
  JsonObject,
  SoleNames,
} from "@mayfly/spec";
import type { CatalogView } from "../catalog/catalog-view.ts";

/**
 * Names of this backend that another one of its type has too, disabled ones included, and those
 * that differ from another one's, or from one of its own, by their spelling alone. `known` are
 * those that it had before: they are told where it is tested, and hinder no change of the rest.
 */
export function soleNameProblems(
  view: Pick<CatalogView, "backends">,
  id: BackendId,
  { soleNames, type }: Pick<CredentialBackend, "soleNames" | "type">,
  described: JsonObject,
  known: JsonObject | null,
): readonly CheckProblem[] {
  if (soleNames === undefined) return [];
  const before = new Set(known === null ? [] : soleNames.of(known));
  const own = soleNames.of(described);
  const others = othersOf(view, id, type, soleNames);
  return own.flatMap((name) => {
    if (before.has(name)) return [];
    const same = others.find((other) => other.name === name);
    if (same !== undefined) return taken(soleNames.what, same);
    const spelling = soleNames.spellingOf(name);
    const alike = [...others, ...own.map((mine) => ({ name: mine, holder: id }))].find(
      (other) => other.name !== name && soleNames.spellingOf(other.name) === spelling,
    );
    return alike === undefined ? [] : spelledLike(soleNames.what, name, alike);
  });
}

interface HeldName {
  readonly name: string;
  readonly holder: BackendId;
}

const taken = (what: string, { name, holder }: HeldName): CheckProblem => ({
  code: `${what}_of_another_backend`,
  what: `The ${what} ${name} is one of backend ${holder} already.`,
  fix: `Leave it to ${holder}, or take it out there first: no two backends have one ${what}.`,
});

const spelledLike = (
  what: string,
  name: string,
  { name: like, holder }: HeldName,
): CheckProblem => ({
  code: `${what}_spelled_like_another`,
  what: `The ${what} ${name} differs from ${like} of backend ${holder} by its spelling alone.`,
  fix:
    "Write it as whoever verifies it compares it, character by character, and leave the other " +
    "spelling out: one who compares less strictly would take either for the other.",
});

function othersOf(
  view: Pick<CatalogView, "backends">,
  id: BackendId,
  type: string,
  soleNames: SoleNames,
): readonly HeldName[] {
  return [...view.backends.values()]
    .filter(({ registered }) => registered.id !== id && registered.type === type)
    .flatMap(({ registered: { id: holder, describedConfig } }) =>
      soleNames.of(describedConfig).map((name) => ({ name, holder })),
    );
}
