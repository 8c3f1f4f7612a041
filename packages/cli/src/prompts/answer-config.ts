import type { Json } from "@mayfly/spec";
import { usageError } from "../cli-error.ts";
import type { Answer, AnswerObject } from "./answer.ts";
import { answerHeld } from "./answer-held.ts";
import { answerText } from "./answer-text.ts";
import { answerMissing, type Answering } from "./answering.ts";
import type { ConfigField, ConfigMember } from "./config-field.ts";
import { aboutField, standardText } from "./field-text.ts";
import { givenJson, type Given } from "./given-answers.ts";
import { givenVariant, isGiven } from "./given-variant.ts";
import { textOfValue } from "./value-of-text.ts";

type Of<Kind extends ConfigField["kind"]> = Extract<ConfigField, { kind: Kind }>;
type Below = Extract<Given, { kind: "below" }>;

/** The answers for a whole configuration. */
export async function answerConfig(
  field: ConfigField,
  given: Given,
  answering: Answering,
): Promise<AnswerObject> {
  return objectOf(await answerField(field, "", given, answering));
}

/** What is answered at the root is an object: a type whose schema has none is a broken one. */
function objectOf(answer: Awaited<ReturnType<typeof answerField>>): AnswerObject {
  if (isAnswerObject(answer)) return answer;
  throw usageError(
    "The schema of this type is of no object, so that nothing can be asked for.",
    "Write a file, and register it with `mayfly backend put`.",
  );
}
const isAnswerObject = (answer: unknown): answer is AnswerObject =>
  typeof answer === "object" &&
  answer !== null &&
  !Array.isArray(answer) &&
  Object.getPrototypeOf(answer) === Object.prototype;

/**
 * The answer for one field: what the command line gave, and otherwise what a person says. Where
 * nobody is asked, what is missing is noted, and the answer stands for nothing. Throws where what
 * was given is not acceptable: at once, by its path, and without showing it.
 */
export function answerField(
  field: ConfigField,
  path: string,
  given: Given | null,
  answering: Answering,
): Promise<Answer> {
  switch (field.kind) {
    case "fixed":
      return answerFixed(field, path, given);
    case "secret":
    case "document":
      return answerHeld(field, path, given, answering);
    case "object":
      return answerObject(field, path, given, answering);
    case "list":
      return answerList(field, path, given, answering);
    case "record":
      return answerRecord(field, path, given, answering);
    case "variants":
      return answerVariants(field, path, given, answering);
    default:
      return answerText(field, path, given, answering);
  }
}

async function answerFixed(
  { value }: Of<"fixed">,
  path: string,
  given: Given | null,
): Promise<Json> {
  if (given === null || isGiven(value, given)) return value;
  throw usageError(
    "It can have one value alone.",
    `Leave it out, or give ${textOfValue(value)}.`,
    path,
  );
}

/** First what is required, in the schema's order; then one question for all that may be set. */
async function answerObject(
  { members }: Of<"object">,
  path: string,
  given: Given | null,
  answering: Answering,
): Promise<AnswerObject> {
  const below = given === null ? null : belowOf(given, false, path);
  const unknown = [...(below?.members.keys() ?? [])].find(
    (name) => !members.some((member) => member.name === name),
  );
  if (unknown !== undefined) {
    const names = members.map(({ name }) => name).join(", ");
    throw usageError("There is no such member.", `There are: ${names}.`, under(path, unknown));
  }
  const answers = new Map<string, Answer>();
  const answer = async ({ name, field }: ConfigMember): Promise<void> => {
    const at = below?.members.get(name) ?? null;
    answers.set(name, await answerField(field, under(path, name), at, answering));
  };
  for (const member of members) {
    if (member.required || below?.members.has(member.name) === true) await answer(member);
  }
  const left = members.filter(({ name }) => !answers.has(name));
  for (const member of await alsoSet(left, path, answering)) await answer(member);
  const inOrder = members.flatMap(({ name }): [string, Answer][] => {
    const answered = answers.get(name);
    return answered === undefined ? [] : [[name, answered]];
  });
  return Object.fromEntries(inOrder);
}

async function alsoSet(
  members: readonly ConfigMember[],
  path: string,
  { prompts }: Answering,
): Promise<readonly ConfigMember[]> {
  if (prompts === null || members.length === 0) return [];
  const chosen = await prompts.chooseSeveral({
    path,
    ask: path === "" ? "also set?" : `${path}: also set?`,
    about: null,
    choices: members.map(({ name, field }) => ({
      name: standardText(field) === null ? name : `${name} (${standardText(field)})`,
      about: field.description,
    })),
  });
  return chosen.flatMap((at) => members[at] ?? []);
}

async function answerList(
  { item, least, most, ...field }: Of<"list">,
  path: string,
  given: Given | null,
  answering: Answering,
): Promise<readonly Answer[]> {
  const { prompts } = answering;
  const answers: Answer[] = [];
  const next = (from: Given | null): Promise<Answer> =>
    answerField(item, `${path}[${answers.length}]`, from, answering);
  if (given !== null) {
    const { members } = belowOf(given, true, path);
    if (members.size < least || members.size > most) {
      throw usageError(`Expected ${least} to ${most} of them.`, "Give another number.", path);
    }
    for (const one of members.values()) answers.push(await next(one));
    return answers;
  }
  if (prompts === null) {
    // What one lacks, all lack.
    return least === 0 ? [] : [await next(null)];
  }
  while (answers.length < most) {
    const isFirst = answers.length === 0;
    if (answers.length >= least) {
      const ask = isFirst ? `${path}: add one?` : `${path}: add another?`;
      const about = isFirst ? field.description : null;
      const at = `${path}[${answers.length}]`;
      if (!(await prompts.confirm({ path: at, ask, about, standard: isFirst }))) break;
    } else if (isFirst && field.description !== null) {
      prompts.say(`${path}  ${field.description}`);
    }
    answers.push(await next(null));
  }
  return answers;
}

async function answerRecord(
  { names, value, least, ...field }: Of<"record">,
  path: string,
  given: Given | null,
  answering: Answering,
): Promise<AnswerObject> {
  const { prompts } = answering;
  const answers = new Map<string, Answer>();
  const put = async (name: string, from: Given | null): Promise<void> => {
    answers.set(name, await answerField(value, under(path, name), from, answering));
  };
  for (const [name, from] of given === null ? [] : belowOf(given, false, path).members) {
    await answerText(names, under(path, name), { kind: "text", text: name }, answering);
    await put(name, from);
  }
  if (prompts === null && answers.size < least) answerMissing(answering, field, path, "json");
  while (prompts !== null && given === null) {
    if (answers.size >= least) {
      const isFirst = answers.size === 0;
      const ask = isFirst ? `${path}: add one?` : `${path}: add another?`;
      const about = isFirst ? field.description : null;
      const at = `${path}[${answers.size}]`;
      if (!(await prompts.confirm({ path: at, ask, about, standard: isFirst }))) break;
    }
    const at = `${path}[${answers.size}]`;
    const name = await answerText(names, at, null, answering, `${at}: name`);
    if (typeof name === "string") await put(name, null);
  }
  return Object.fromEntries(answers);
}

async function answerVariants(
  { variants, ...field }: Of<"variants">,
  path: string,
  given: Given | null,
  answering: Answering,
): Promise<Answer> {
  if (given !== null) {
    const variant = givenVariant(variants, given);
    if (variant !== null) return answerField(variant.field, path, given, answering);
    const names = variants.map(({ name }) => name).join(", ");
    throw usageError("It has none of the forms that it can have.", `They are: ${names}.`, path);
  }
  if (answering.prompts === null)
    return answerMissing(answering, field, path, "variants", variants);
  const chosen = await answering.prompts.choose({
    path,
    ask: path,
    about: aboutField(field),
    choices: variants.map(({ name, field: { description } }) => ({ name, about: description })),
    standard: Math.max(0, standardVariant(field.standard, variants)),
  });
  const variant = variants[chosen];
  if (variant === undefined) throw new TypeError(`${path}: no choice ${chosen}`);
  return answerField(variant.field, path, null, answering);
}

const standardVariant = (
  standard: Json | undefined,
  variants: Of<"variants">["variants"],
): number =>
  variants.findIndex(
    ({ name }) =>
      typeof standard === "object" && standard !== null && Object.values(standard).includes(name),
  );

/** What was given for a place that has more below it; a text there is JSON. */
function belowOf(given: Given, list: boolean, path: string): Below {
  const read = given.kind === "text" ? givenJson(given.text) : given;
  if (read?.kind === "below" && (read.list === list || read.members.size === 0)) return read;
  const form = list ? `a list: ${path}[0]=… or JSON` : `members: ${path}.name=… or JSON`;
  throw usageError("What was given here has another form.", `Give ${form}.`, path);
}

const under = (path: string, name: string): string => (path === "" ? name : `${path}.${name}`);
