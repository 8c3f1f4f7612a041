import { Secret } from "@mayfly/spec";
import { configError } from "../cli-error.ts";
import { HeldText } from "./answer.ts";
import type { Answering } from "./answering.ts";
import { checkAnswer } from "./check-answer.ts";
import type { ConfigField } from "./config-field.ts";

/** A text that is read from where it is, and judged at once. For a file it is not read. */
export async function heldFrom(
  field: ConfigField,
  path: string,
  from: string,
  answering: Answering,
): Promise<HeldText> {
  const hidden = field.kind === "secret";
  if (answering.forFile) return new HeldText(from, null, hidden);
  const text = await answering.readFrom(from, path);
  const refused = checkAnswer(field.schema, text);
  if (refused !== null)
    throw configError(refused, path, "Name another place, or mend what is there.");
  return new HeldText(from, Secret.of(text), hidden);
}
