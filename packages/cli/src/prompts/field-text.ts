import type { Json, JsonSchema } from "@mayfly/spec";
import { kindName, type ConfigField, type FieldFacts } from "./config-field.ts";
import { textOfValue } from "./value-of-text.ts";

/** What a member means and what may be answered, in one line; null: its name says all. */
export function aboutField(field: ConfigField | FieldFacts): string | null {
  const bounds = "kind" in field ? boundsText(field) : null;
  const { description } = field;
  if (bounds === null) return description;
  return description === null ? bounds : `${description} (${bounds})`;
}

/** Its default, short enough for a list; null: it has none. */
export function standardText({ standard }: FieldFacts): string | null {
  if (standard === undefined) return null;
  if (Array.isArray(standard) && standard.length === 0) return "none";
  const text = textOfValue(standard);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

function boundsText(field: ConfigField): string | null {
  const { schema } = field;
  switch (field.kind) {
    case "number":
      return numberText(schema);
    case "text": {
      const most = numberAt(schema, "maxLength");
      return most === null ? null : `at most ${most} characters`;
    }
    case "json":
      return kindName(field);
    default:
      return null;
  }
}

function numberText(schema: JsonSchema): string {
  const whole = schema["type"] === "integer" ? "a whole number" : "a number";
  const [least, above] = [numberAt(schema, "minimum"), numberAt(schema, "exclusiveMinimum")];
  const most = numberAt(schema, "maximum");
  const from = least === null ? (above === null ? null : `above ${above}`) : `from ${least}`;
  const to = most === null || most >= Number.MAX_SAFE_INTEGER ? null : `to ${most}`;
  return [whole, from, to].filter((part) => part !== null).join(" ");
}

function numberAt(schema: JsonSchema, key: string): number | null {
  const value: Json | undefined = schema[key];
  return typeof value === "number" ? value : null;
}
