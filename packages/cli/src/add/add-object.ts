import type { JsonObject, JsonSchema } from "@mayfly/spec";
import type { BrokerApi } from "../api/broker-api.ts";
import { CliError, usageError } from "../cli-error.ts";
import { EXIT } from "../exit-codes.ts";
import { readReference } from "../files/secret-references.ts";
import { sentAnswer, shownAnswer, type AnswerObject } from "../prompts/answer.ts";
import { answerConfig, answerField } from "../prompts/answer-config.ts";
import type { Answering, MissingAnswer } from "../prompts/answering.ts";
import { readConfigField } from "../prompts/config-field.ts";
import { readGivenAnswers, type AnswerFlags } from "../prompts/given-answers.ts";
import { factLines, factsOf } from "../render/fact-lines.ts";
import type { Session } from "../session.ts";
import { registerAnswers } from "./register-answers.ts";
import { writeNewFile } from "./write-new-file.ts";

export interface AddOptions extends AnswerFlags {
  /** False: nobody is asked, whatever there is. */
  readonly input: boolean;
  readonly print?: true;
  readonly out?: string;
  readonly yes?: true;
}

/** Something to be registered whose members are asked for. */
export interface NewObject {
  /** As people call it: `backend orders-db`. */
  readonly called: string;
  /** Where the API has it. */
  readonly path: string;
  /** Of what is asked for. */
  readonly schema: JsonSchema;
  /** What somebody says yes to. */
  readonly consequence: string;
  /** Shown with the answers: what is to be done elsewhere. */
  readonly beside: string;
  /** What the API is sent. */
  readonly body: (members: JsonObject) => JsonObject;
  /** As `mayfly apply` reads it. */
  readonly fileText: (members: AnswerObject) => string;
  /** What the API's answer says. */
  readonly tell: (answer: unknown) => void;
}

export const isForFile = ({ print, out }: AddOptions): boolean =>
  print === true || out !== undefined;

export async function answeringOf({ io }: Session, options: AddOptions): Promise<Answering> {
  return {
    prompts: options.input && io.interactive ? await io.prompts() : null,
    forFile: isForFile(options),
    readFrom: (from, path) => readReference(from, path, io),
    missing: [],
  };
}

/**
 * Asks for the members by the schema that the broker parses them by, shows them, and registers the
 * object, never over another, or writes it as a file. Until the last yes nothing is changed
 * anywhere.
 */
export async function addObject(
  session: Session,
  api: BrokerApi,
  object: NewObject,
  answering: Answering,
  options: AddOptions,
): Promise<void> {
  const { called, path, consequence } = object;
  const field = readConfigField(object.schema);
  const members = await answerConfig(field, readGivenAnswers(options), answering);
  if (answering.missing.length > 0) throw nobodySaid(answering.missing);
  const facts = factLines(factsOf(shownAnswer(members)), session.paint, "  ");
  session.note(`${called}\n${facts}${object.beside}`.trimEnd());
  if (isForFile(options)) {
    const text = object.fileText(members);
    if (options.out === undefined) return session.text(text);
    writeNewFile(options.out, text);
    return session.note(`written  ${options.out}`);
  }
  await session.confirm([`registers ${called}: ${consequence}`], options.yes === true);
  const { prompts } = answering;
  const answer = await registerAnswers(session, members, {
    called,
    prompts,
    register: (now) =>
      api.send("PUT", path, object.body(sentAnswer(now)), { "if-none-match": "*" }),
    askAgain: async (name, before) => {
      const known = field.kind === "object" ? field.members.find((one) => one.name === name) : null;
      if (!known) return before;
      return { ...before, [name]: await answerField(known.field, name, null, answering) };
    },
  });
  object.tell(answer);
}

/** Before anything is asked: the answers would be for nothing. */
export async function refuseKnown(api: BrokerApi, path: string, called: string): Promise<void> {
  try {
    await api.get(path);
  } catch (error) {
    // What may not be read may still be registered: the broker says so then.
    if (error instanceof CliError && error.parts.exit === EXIT.refused) return;
    throw error;
  }
  const [noun = ""] = called.split(" ");
  throw usageError(
    `There is a ${called} already.`,
    `Give another name, or change it with \`mayfly ${noun} put\`.`,
    "name",
  );
}

function nobodySaid(missing: readonly MissingAnswer[]): CliError {
  const lines = missing.map(
    ({ path, description, flag }) =>
      `${path === "" ? "config" : path}  ${description === null ? "" : `${description}  `}${flag}`,
  );
  const are = missing.length === 1 ? "1 answer is" : `${missing.length} answers are`;
  return usageError(
    [`${are} missing, and nobody is asked:`, ...lines].join("\n"),
    "Give them, or run it in a terminal.",
  );
}
