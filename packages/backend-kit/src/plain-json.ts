import type { Json, JsonObject } from "@mayfly/spec";

/** What JSON would make of it: members that are undefined vanish. Throws at what is no JSON. */
function plainJson(value: unknown): Json {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (Array.isArray(value)) return value.map(plainJson);
  if (typeof value === "object") return plainObject(value);
  throw new TypeError("not plain JSON");
}

export function plainObject(value: object): JsonObject {
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(members.map(([key, member]) => [key, plainJson(member)]));
}
