import { z } from "zod";
import type { Json, JsonSchema } from "@mayfly/spec";

/**
 * What the schema says against a value, in the broker's own words as far as the schema has them;
 * null: nothing. What only the type's code can tell, the broker says when it is registered.
 */
export function checkAnswer(schema: JsonSchema, value: Json): string | null {
  const parsed = parserOf(schema)?.safeParse(value);
  if (parsed?.success === false) return parsed.error.issues[0]?.message ?? "It is not acceptable.";
  const { pattern } = schema;
  if (typeof value !== "string" || typeof pattern !== "string") return null;
  if (patternOf(pattern)?.test(value) !== false) return null;
  const said = schema["patternErrorMessage"];
  return typeof said === "string" ? said : `expected a text that matches ${pattern}`;
}

const parsers = new WeakMap<JsonSchema, z.ZodType | null>();

/** Without the pattern, which the library would read by another dialect. Null: not to be read. */
function parserOf(schema: JsonSchema): z.ZodType | null {
  const known = parsers.get(schema);
  if (known !== undefined) return known;
  const made = readSchema(schema);
  parsers.set(schema, made);
  return made;
}

function readSchema(given: JsonSchema): z.ZodType | null {
  const { pattern: _pattern, default: _default, ...schema } = given;
  try {
    const read = schema as Parameters<typeof z.fromJSONSchema>[0];
    return z.fromJSONSchema(read, { registry: z.registry() });
  } catch {
    return null;
  }
}

/** As JSON Schema has it, with the flag u; some patterns are written for none. */
function patternOf(pattern: string): RegExp | null {
  for (const flags of ["u", ""]) {
    try {
      return new RegExp(pattern, flags);
    } catch {
      continue;
    }
  }
  return null;
}
