import { z } from "zod";
import type { Json } from "@mayfly/spec";
import type { ConfigField } from "./config-field.ts";

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** What a typed text says for a field that is no list and no object; null: nothing. */
export function valueOfText(field: ConfigField, text: string): { readonly value: Json } | null {
  switch (field.kind) {
    case "text":
    case "document":
      return { value: text };
    case "number":
      return NUMBER.test(text) ? { value: Number(text) } : null;
    case "flag":
      return text === "true" || text === "false" ? { value: text === "true" } : null;
    case "choice": {
      const value = field.choices.find((choice) => textOfValue(choice) === text);
      return value === undefined ? null : { value };
    }
    case "secret":
      return field.schema["type"] === "string" ? { value: text } : jsonOf(text);
    default:
      return jsonOf(text);
  }
}

export const textOfValue = (value: Json): string =>
  typeof value === "string" ? value : JSON.stringify(value);

function jsonOf(text: string): { readonly value: Json } | null {
  try {
    return { value: z.json().parse(JSON.parse(text)) };
  } catch {
    return null;
  }
}
