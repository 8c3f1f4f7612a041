import type { EntityUidJson, PolicyJson } from "@cedar-policy/cedar-wasm/nodejs";
import { everyPart } from "./expression.ts";
import type { ParsedClause, ParsedPolicy } from "./parsed-policy.ts";
import { ADMINISTRATION_ACTIONS } from "./schema.ts";

/**
 * Credentials and administration are decided apart. A policy is about administration if its scope
 * names an administrative action; one that leaves the action open is about credentials, so that no
 * permit which was written for agents ever makes an administrator. A forbid that leaves action and
 * resource open and asks about the principal alone ("never this one") is about both.
 */
export function policySide(
  json: PolicyJson,
  clauses: readonly ParsedClause[],
): ParsedPolicy["side"] | { readonly problem: string } {
  const names = actionsInScope(json);
  if (names === null) {
    return json.effect === "forbid" && asksOfPrincipalAlone(json, clauses) ? "both" : "credentials";
  }
  const administrative = names.filter((name) => ADMINISTRATION_ACTIONS.has(name));
  if (administrative.length === 0) return "credentials";
  if (administrative.length === names.length) return "administration";
  return {
    problem:
      "The scope names actions on credentials and on administration: these are decided apart, so " +
      "write two policies.",
  };
}

/** Null: the scope leaves the action open. */
function actionsInScope({ action }: PolicyJson): readonly string[] | null {
  if (action.op === "All") return null;
  if ("entities" in action) return action.entities.map(idOf);
  // A slot stands in templates alone, which are refused before.
  return "entity" in action ? [idOf(action.entity)] : [];
}

const idOf = (entity: EntityUidJson): string =>
  "__entity" in entity ? entity.__entity.id : entity.id;

const asksOfPrincipalAlone = (json: PolicyJson, clauses: readonly ParsedClause[]): boolean =>
  json.resource.op === "All" &&
  clauses
    .flatMap(({ body }) => [...everyPart(body)])
    .every((part) => part.kind !== "variable" || part.name === "principal");
