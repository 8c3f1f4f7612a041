import { Secret } from "@mayfly/spec";
import { CliError, usageError } from "../cli-error.ts";
import { HeldText, type Answer } from "./answer.ts";
import { answerMissing, type Answering } from "./answering.ts";
import { checkAnswer } from "./check-answer.ts";
import type { ConfigField } from "./config-field.ts";
import { aboutField } from "./field-text.ts";
import type { Given } from "./given-answers.ts";
import { heldFrom } from "./held-from.ts";
import type { Prompts } from "./prompts.ts";
import { strangeCharacter } from "./strange-character.ts";

/** The answer for a secret, which no argument and no file ever has, or for a file's text. */
export async function answerHeld(
  field: ConfigField,
  path: string,
  given: Given | null,
  answering: Answering,
): Promise<Answer> {
  const hidden = field.kind === "secret";
  if (given?.kind === "from") return heldFrom(field, path, given.from, answering);
  if (given !== null) {
    throw usageError(
      hidden
        ? "A secret is not given as an argument: everybody on this machine sees those."
        : "This is a text of many lines, and is given as a file.",
      hidden
        ? `Give --from-env ${path}=VAR or --set-file ${path}=FILE.`
        : `Give --set-file ${path}=FILE.`,
      path,
    );
  }
  const { prompts } = answering;
  if (prompts === null) {
    return answerMissing(answering, field, path, hidden ? "secret" : "document");
  }
  if (!hidden) return askFile(field, path, prompts, answering);
  return askSecret(field, path, prompts, answering);
}

const TYPED = { name: "type it now", about: "It is not shown." };
const FROM_ENV = { name: "environment variable", about: "Name the variable that has it." };
const FROM_FILE = { name: "file", about: "Name the file that has it, and nothing else." };

async function askSecret(
  field: ConfigField,
  path: string,
  prompts: Prompts,
  answering: Answering,
): Promise<HeldText> {
  const ways = answering.forFile ? [FROM_ENV, FROM_FILE] : [TYPED, FROM_ENV, FROM_FILE];
  const at = await prompts.choose({
    path,
    ask: `${path}: where is it?`,
    about: aboutField(field),
    choices: ways,
    standard: 0,
  });
  const question = { path, ask: path, about: null };
  switch (ways[at]) {
    case FROM_FILE:
      return askFile(field, path, prompts, answering);
    case FROM_ENV:
      return askReference(field, path, "env", `${path}: variable`, prompts, answering);
    default: {
      const check = (text: string): string | null =>
        strangeCharacter(text) ?? checkAnswer(field.schema, text);
      return new HeldText(null, Secret.of(await prompts.secret({ ...question, check })), true);
    }
  }
}

const askFile = (
  field: ConfigField,
  path: string,
  prompts: Prompts,
  answering: Answering,
): Promise<HeldText> =>
  askReference(field, path, "file", `${path}: path of the file`, prompts, answering);

/** Until there is something acceptable where it is said to be. */
async function askReference(
  field: ConfigField,
  path: string,
  kind: "env" | "file",
  ask: string,
  prompts: Prompts,
  answering: Answering,
): Promise<HeldText> {
  for (;;) {
    const about = field.kind === "document" ? aboutField(field) : null;
    const check = (text: string): string | null =>
      strangeCharacter(text) ?? (text === "" ? "Name it." : null);
    const name = await prompts.text({ path, ask, about, standard: null, check });
    try {
      return await heldFrom(field, path, `${kind}:${name}`, answering);
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      prompts.say(error.parts.what);
    }
  }
}
