import { z } from "zod";
import type { JsonObject } from "@mayfly/spec";

/** Collects what is named (`id` in a schema's meta) as components, and refers to it. */
export interface JsonSchemas {
  /** What a parser takes: closed where the parser is. */
  request(schema: z.ZodType): JsonObject;
  /** What is answered: open, since a later version may answer more members. */
  answer(schema: z.ZodType): JsonObject;
  readonly components: Readonly<Record<string, JsonObject>>;
}

export function collectJsonSchemas(): JsonSchemas {
  const components: Record<string, JsonObject> = {};
  const convert = (schema: z.ZodType, isClosed: boolean): JsonObject => {
    const {
      $schema: _dialect,
      $defs,
      ...rest
    } = z.toJSONSchema(schema, {
      io: "input",
      unrepresentable: "any",
      override: ({ zodSchema, jsonSchema }) => {
        if (!isClosed && jsonSchema.additionalProperties === false) {
          delete jsonSchema.additionalProperties;
        }
        // The date itself is in the format; only what a parser refuses beyond it needs the pattern.
        if (!isClosed && zodSchema._zod.def.type === "string" && jsonSchema.format !== undefined) {
          delete jsonSchema.pattern;
        }
      },
    });
    for (const [id, { id: _id, ...definition }] of Object.entries($defs ?? {})) {
      add(components, id, referring(definition));
    }
    return referring(rest);
  };
  return {
    request: (schema) => convert(schema, true),
    answer: (schema) => convert(schema, false),
    components,
  };
}

function add(components: Record<string, JsonObject>, id: string, schema: JsonObject): void {
  const known = components[id];
  if (known !== undefined && JSON.stringify(known) !== JSON.stringify(schema)) {
    throw new TypeError(`Two schemas have the id ${id} in their meta: give one another name.`);
  }
  components[id] = schema;
}

const JSON_OBJECT = z.record(z.string(), z.json());

/** Plain JSON, whose references lead to the document's components. */
function referring(schema: object): JsonObject {
  const text = JSON.stringify(schema).replaceAll('"#/$defs/', '"#/components/schemas/');
  return JSON_OBJECT.parse(JSON.parse(text));
}
