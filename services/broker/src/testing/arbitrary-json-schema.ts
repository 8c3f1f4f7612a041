import fc from "fast-check";
import type { Json, JsonObject } from "@mayfly/spec";

/** Values that a JSON Schema of ours takes, and others that are one change away from one. */
export function arbitraryOf(schema: JsonObject, components: JsonObject): fc.Arbitrary<Json> {
  const valid = validFor(schema, components, 0);
  return fc.oneof(
    valid,
    fc.tuple(valid, fc.array(CHANGE, { minLength: 1, maxLength: 2 })).map(changed),
  );
}

/** Below it, optional members are left out: a schema may name itself. */
const DEPTH_MAX = 6;

function validFor(schema: JsonObject, components: JsonObject, depth: number): fc.Arbitrary<Json> {
  const { $ref, type } = schema;
  const variants = listOf(schema["anyOf"] ?? schema["oneOf"]);
  if (typeof $ref === "string") {
    const name = $ref.slice($ref.lastIndexOf("/") + 1);
    return validFor(objectOf(components[name]), components, depth + 1);
  }
  if (Object.hasOwn(schema, "const")) return fc.constant(schema["const"] ?? null);
  if (isList(schema["enum"])) return fc.constantFrom(...schema["enum"]);
  if (variants.length > 0) {
    const usable = depth > DEPTH_MAX ? variants.slice(0, 1) : variants;
    return fc.oneof(...usable.map((variant) => validFor(objectOf(variant), components, depth)));
  }
  switch (type) {
    case "object":
      return members(schema, components, depth);
    case "array":
      return fc.array(validFor(objectOf(schema["items"]), components, depth + 1), {
        minLength: numberOf(schema["minItems"]) ?? 0,
        maxLength: Math.min(3, numberOf(schema["maxItems"]) ?? 3),
      });
    case "string":
      return text(schema);
    case "integer":
      return fc.integer({
        min: numberOf(schema["minimum"]) ?? 0,
        max: Math.min(numberOf(schema["maximum"]) ?? 1000, 2 ** 31 - 1),
      });
    case "number":
      return fc.nat();
    case "boolean":
      return fc.boolean();
    case "null":
      return fc.constant(null);
    default:
      return VALUE;
  }
}

/**
 * As strict JSON has it: no lone surrogate, no member that would set a prototype, no number beyond
 * those that a double counts one by one.
 */
const VALUE: fc.Arbitrary<Json> = fc
  .jsonValue({ maxDepth: 2 })
  .map(
    (value): Json =>
      JSON.parse(JSON.stringify(value, countable).replaceAll("__proto__", "proto")) as Json,
  );

const countable = (_name: string, value: unknown): unknown =>
  typeof value === "number" && Math.abs(value) > Number.MAX_SAFE_INTEGER ? 0 : value;

function members(schema: JsonObject, components: JsonObject, depth: number): fc.Arbitrary<Json> {
  const required = new Set(listOf(schema["required"]));
  const properties = objectOf(schema["properties"]);
  const shape: Record<string, fc.Arbitrary<Json>> = {};
  for (const [name, member] of Object.entries(properties)) {
    if (depth > DEPTH_MAX && !required.has(name)) continue;
    shape[name] = validFor(objectOf(member), components, depth + 1);
  }
  return fc.record(shape, {
    requiredKeys: Object.keys(shape).filter((name) => required.has(name)),
  });
}

function text(schema: JsonObject): fc.Arbitrary<string> {
  const min = numberOf(schema["minLength"]) ?? 0;
  const max = numberOf(schema["maxLength"]) ?? 4096;
  const { pattern } = schema;
  const made =
    typeof pattern === "string"
      ? fc.stringMatching(new RegExp(pattern, "u"))
      : fc.string({ minLength: min, maxLength: Math.min(max, 40) });
  return made.filter((value) => value.length >= min && value.length <= max);
}

/** One thing done to a value: at a member chosen by number. */
const CHANGE = fc.record({
  at: fc.nat({ max: 30 }),
  how: fc.constantFrom("replace" as const, "remove" as const, "add" as const, "empty" as const),
  value: VALUE,
  name: fc.constantFrom("colour", "role", "task", "parent", "x"),
});
type Change = typeof CHANGE extends fc.Arbitrary<infer T> ? T : never;

const changed = ([value, changes]: readonly [Json, readonly Change[]]): Json =>
  changes.reduce<Json>((before, change) => changedOnce(before, change), value);

function changedOnce(value: Json, change: Change): Json {
  const at = change.at % 4;
  if (isList(value) && value.length > 0 && at !== 0) {
    const index = change.at % value.length;
    return value.map((item, n) =>
      n === index ? changedOnce(item, { ...change, at: change.at >> 1 }) : item,
    );
  }
  if (typeof value !== "object" || value === null || isList(value)) {
    return change.how === "empty" ? "" : change.value;
  }
  const keys = Object.keys(value);
  const key = keys[change.at % Math.max(1, keys.length)];
  if (change.how === "add" || key === undefined) return { ...value, [change.name]: change.value };
  const { [key]: chosen = null, ...rest } = value;
  if (change.how === "remove") return rest;
  const isDeeper = typeof chosen === "object" && chosen !== null && at !== 0;
  const inner = isDeeper ? changedOnce(chosen, { ...change, at: change.at >> 1 }) : change.value;
  return { ...rest, [key]: change.how === "empty" && !isDeeper ? "" : inner };
}

const isList = (value: Json | undefined): value is readonly Json[] => Array.isArray(value);
const listOf = (value: Json | undefined): readonly Json[] => (isList(value) ? value : []);
const objectOf = (value: Json | undefined): JsonObject =>
  typeof value === "object" && value !== null && !isList(value) ? value : {};
const numberOf = (value: Json | undefined): number | undefined =>
  typeof value === "number" ? value : undefined;
