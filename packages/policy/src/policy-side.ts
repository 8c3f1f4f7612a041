import type { EntityUidJson, PolicyJson } from "@cedar-policy/cedar-wasm/nodejs";
import { everyPart } from "./expression.ts";
import type { ParsedClause, ParsedPolicy } from "./parsed-policy.ts";
import { ADMINISTRATION_ACTIONS, IMPERSONATION_ACTION } from "./schema.ts";

/**
 * Credentials, administration and impersonation are decided apart. A policy is about the side whose
 * action its scope names; one that leaves the action open is about credentials, so that no permit
 * which was written for agents ever makes an administrator, or another of somebody. A forbid that
 * leaves action and resource open and asks about the principal alone ("never this one") is about
 * all.
 */
export function policySide(
  json: PolicyJson,
  clauses: readonly ParsedClause[],
): ParsedPolicy["side"] | { readonly problem: string } {
  const names = actionsInScope(json);
  if (names === null) {
    return json.effect === "forbid" && asksOfPrincipalAlone(json, clauses) ? "all" : "credentials";
  }
  const [side = "credentials", ...more] = new Set(names.map(sideOfAction));
  if (more.length === 0) return side;
  return {
    problem:
      `The scope names actions on ${[side, ...more].toSorted().join(" and on ")}: these are ` +
      "decided apart, so write a policy for each.",
  };
}

function sideOfAction(name: string): Exclude<ParsedPolicy["side"], "all"> {
  if (name === IMPERSONATION_ACTION) return "impersonation";
  return ADMINISTRATION_ACTIONS.has(name) ? "administration" : "credentials";
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
