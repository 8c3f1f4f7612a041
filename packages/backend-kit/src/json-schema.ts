import type { JsonSchema } from "@mayfly/spec";
import { z } from "zod";
import { plainObject } from "./plain-json.ts";

/**
 * What may be written, for the API, editors, the command's prompts and the page of the type;
 * defaults are left out. What is said of a text that a pattern refuses is there too, under the
 * name that editors read it by.
 */
export const toJsonSchema = (type: z.ZodType): JsonSchema =>
  plainObject(
    z.toJSONSchema(type, {
      io: "input",
      override: ({ zodSchema, jsonSchema }) => {
        if (jsonSchema.pattern === undefined) return;
        const message = patternMessage(zodSchema);
        if (message !== null) jsonSchema["patternErrorMessage"] = message;
      },
    }),
  );

/** Of a text with one pattern, and words of its own for what does not match. */
function patternMessage({ _zod: { def } }: z.core.$ZodType): string | null {
  const patterns = (def.checks ?? []).flatMap(({ _zod: { def: check } }) =>
    "format" in check && check.format === "regex" ? [check] : [],
  );
  const [only] = patterns;
  if (only?.error === undefined || patterns.length > 1) return null;
  const tell = only.error as z.core.$ZodErrorMap;
  const said = tell({ code: "invalid_format", format: "regex", input: "" });
  return typeof said === "string" ? said : (said?.message ?? null);
}
