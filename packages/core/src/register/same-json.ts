import type { Json, JsonObject } from "@mayfly/spec";

/** Equal as JSON values: members in any order, elements in theirs. */
export function isSameJson(a: Json, b: Json): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (isList(a) || isList(b)) {
    if (!isList(a) || !isList(b) || a.length !== b.length) return false;
    return a.every((element, n) => isSameJson(element, b[n] ?? null));
  }
  const [mine, theirs] = [membersOf(a), membersOf(b)];
  if (mine.size !== theirs.size) return false;
  return [...mine].every(([key, value]) => {
    const other = theirs.get(key);
    return other !== undefined && isSameJson(value, other);
  });
}

const isList = (json: readonly Json[] | JsonObject): json is readonly Json[] => Array.isArray(json);
const membersOf = (json: JsonObject): Map<string, Json> => new Map(Object.entries(json));
