import type { Json, JsonObject } from "@mayfly/spec";
import { isSameJson } from "./same-json.ts";

/** One member that a change would change. */
export interface FieldChange {
  /** `standbys`, `config.tls`: names joined by dots; a list is changed as a whole. */
  readonly path: string;
  /** As anybody may see it; null: not there. */
  readonly from: Json;
  readonly to: Json;
  /** It differs in what may not be shown: `from` and `to` look alike. */
  readonly secret: boolean;
}

/** An object in the clear, and as anybody may see it. */
export interface Shown {
  readonly plain: JsonObject;
  readonly shown: JsonObject;
}

/**
 * Compares in the clear and answers what may be shown. A secret's change is seen, and neither its
 * old nor its new text leaves this function.
 */
export function changedFields(from: Shown, to: Shown): readonly FieldChange[] {
  return compare({ plain: from.plain, shown: from.shown }, to, "");
}

interface Side {
  readonly plain: Json | undefined;
  readonly shown: Json | undefined;
}

function compare(from: Side, to: Side, path: string): readonly FieldChange[] {
  if (isSameJson(from.plain ?? null, to.plain ?? null)) return [];
  const sides = [from.plain, from.shown, to.plain, to.shown];
  if (sides.every(isObject)) {
    const [plainFrom, shownFrom, plainTo, shownTo] = sides.filter(isObject).map(membersOf);
    const names = new Set([...(plainFrom?.keys() ?? []), ...(plainTo?.keys() ?? [])]);
    return [...names]
      .toSorted()
      .flatMap((name) =>
        compare(
          { plain: plainFrom?.get(name), shown: shownFrom?.get(name) },
          { plain: plainTo?.get(name), shown: shownTo?.get(name) },
          path === "" ? name : `${path}.${name}`,
        ),
      );
  }
  const [shownFrom, shownTo] = [from.shown ?? null, to.shown ?? null];
  const secret = isSameJson(shownFrom, shownTo);
  return [{ path, from: shownFrom, to: shownTo, secret }];
}

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const membersOf = (object: JsonObject): Map<string, Json> => new Map(Object.entries(object));
