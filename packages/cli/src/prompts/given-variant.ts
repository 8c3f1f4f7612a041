import type { Json } from "@mayfly/spec";
import { checkAnswer } from "./check-answer.ts";
import type { ConfigField, ConfigVariant } from "./config-field.ts";
import { givenJson, type Given } from "./given-answers.ts";
import { textOfValue, valueOfText } from "./value-of-text.ts";

/** The form that was meant: the first that what was given fits. Null: it fits none. */
export function givenVariant(
  variants: readonly ConfigVariant[],
  given: Given,
): ConfigVariant | null {
  // Of `5` a number is meant, where there may be one: every text is a text.
  const texts = variants.filter(({ field }) => field.kind === "text");
  const others = variants.filter(({ field }) => field.kind !== "text");
  return [...others, ...texts].find(({ field }) => fits(field, given)) ?? null;
}

function fits(field: ConfigField, given: Given): boolean {
  switch (field.kind) {
    case "secret":
    case "document":
      return given.kind === "from";
    case "variants":
      return givenVariant(field.variants, given) !== null;
    case "list":
    case "record":
      return belowOf(given)?.list === (field.kind === "list");
    case "object": {
      const below = belowOf(given);
      if (below === null || below.list) return false;
      return [...below.members].every(([name, each]) => {
        const member = field.members.find((known) => known.name === name)?.field;
        return member !== undefined && (member.kind !== "fixed" || isGiven(member.value, each));
      });
    }
    case "fixed":
      return isGiven(field.value, given);
    default:
      return fitsScalar(field, given);
  }
}

function fitsScalar(field: ConfigField, given: Given): boolean {
  if (given.kind === "value") return checkAnswer(field.schema, given.value) === null;
  if (given.kind === "from") return field.kind === "text";
  if (given.kind === "below") return field.kind === "json";
  const read = valueOfText(field, given.text);
  return read !== null && checkAnswer(field.schema, read.value) === null;
}

/** Whether what was given is this value. */
export const isGiven = (value: Json, given: Given): boolean =>
  (given.kind === "value" && given.value === value) ||
  (given.kind === "text" && given.text === textOfValue(value));

function belowOf(given: Given): Extract<Given, { kind: "below" }> | null {
  const read = given.kind === "text" ? givenJson(given.text) : given;
  return read?.kind === "below" ? read : null;
}
