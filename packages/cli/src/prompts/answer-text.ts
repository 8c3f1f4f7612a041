import type { Json } from "@mayfly/spec";
import { usageError } from "../cli-error.ts";
import type { Answer } from "./answer.ts";
import { answerMissing, type Answering } from "./answering.ts";
import { checkAnswer } from "./check-answer.ts";
import type { ConfigField } from "./config-field.ts";
import { aboutField } from "./field-text.ts";
import { jsonOfGiven, type Given } from "./given-answers.ts";
import { heldFrom } from "./held-from.ts";
import { strangeCharacter } from "./strange-character.ts";
import { textOfValue, valueOfText } from "./value-of-text.ts";

/** The answer for a text, a number, a choice, or what can be given as JSON alone. */
export async function answerText(
  field: ConfigField,
  path: string,
  given: Given | null,
  answering: Answering,
  ask = path,
): Promise<Answer> {
  if (given !== null) return answerGiven(field, path, given, answering);
  const { prompts } = answering;
  if (prompts === null) {
    return answerMissing(answering, field, path, field.kind === "json" ? "json" : "value");
  }
  const { standard } = field;
  const question = { path, ask, about: aboutField(field) };
  if (field.kind === "choice" || field.kind === "flag") {
    const values: readonly Json[] = field.kind === "choice" ? field.choices : [true, false];
    const at = await prompts.choose({
      ...question,
      choices: values.map((value) => ({ name: textOfValue(value), about: null })),
      standard: Math.max(
        0,
        values.findIndex((value) => value === standard),
      ),
    });
    return values[at] ?? null;
  }
  const text = await prompts.text({
    ...question,
    standard: standard === undefined ? null : textOfValue(standard),
    check: (typed) => strangeCharacter(typed) ?? refusal(field, typed),
  });
  return valueOfText(field, text)?.value ?? null;
}

/** Why a text is no answer for a field; null: it is one. */
function refusal(field: ConfigField, text: string): string | null {
  const read = valueOfText(field, text);
  if (read !== null) return checkAnswer(field.schema, read.value);
  switch (field.kind) {
    case "number":
      return "expected a number, such as 30";
    case "flag":
      return "expected true or false";
    case "choice":
      return `expected one of ${field.choices.map(textOfValue).join(", ")}`;
    default:
      return "expected JSON";
  }
}

async function answerGiven(
  field: ConfigField,
  path: string,
  given: Given,
  answering: Answering,
): Promise<Answer> {
  if (given.kind === "from") {
    if (field.kind === "text") return heldFrom(field, path, given.from, answering);
    throw usageError("Only a text can be read from elsewhere.", `Give --set ${path}=….`, path);
  }
  if (given.kind === "text") {
    const refused = refusal(field, given.text);
    if (refused === null) return valueOfText(field, given.text)?.value ?? null;
    throw usageError(refused, `Give another --set ${path}=….`, path);
  }
  const read = jsonOfGiven(given);
  if (read === null) throw usageError("expected JSON", `Give --set ${path}=….`, path);
  const refused = checkAnswer(field.schema, read.value);
  if (refused !== null) throw usageError(refused, `Give another --set ${path}=….`, path);
  return read.value;
}
