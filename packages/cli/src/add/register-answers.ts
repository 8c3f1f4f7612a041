import { CliError } from "../cli-error.ts";
import { EXIT } from "../exit-codes.ts";
import type { AnswerObject } from "../prompts/answer.ts";
import type { Prompts } from "../prompts/prompts.ts";
import { errorText } from "../render/error-text.ts";
import { createPaint } from "../render/paint.ts";
import type { Session } from "../session.ts";

interface Registration {
  readonly called: string;
  /** Null: nobody is there to mend anything. */
  readonly prompts: Prompts | null;
  readonly register: (answers: AnswerObject) => Promise<unknown>;
  /** The answers with another one for this member. */
  readonly askAgain: (member: string, before: AnswerObject) => Promise<AnswerObject>;
}

/**
 * Registers what was answered. Where it is refused, a person is told why and how to mend it, and
 * may try again, with another answer or with the same ones once the upstream is set right.
 */
export async function registerAnswers(
  { io }: Session,
  first: AnswerObject,
  { called, prompts, register, askAgain }: Registration,
): Promise<unknown> {
  let answers = first;
  for (;;) {
    try {
      return await register(answers);
    } catch (error) {
      if (prompts === null || !(error instanceof CliError) || !canBeMended(error)) throw error;
      io.err(errorText(error.parts, createPaint(io.colours.err)));
      const next = await chooseNext(prompts, called, Object.keys(answers), error);
      if (next === GIVE_UP) throw error;
      if (next !== AGAIN) answers = await askAgain(next, answers);
    }
  }
}

const MENDED = new Set([
  "config_invalid",
  "invalid_input",
  "check_failed",
  "backend_rejected",
  "backend_unavailable",
]);
/** Not after Ctrl-C, nor where the broker itself is what failed. */
const canBeMended = ({ parts: { code, exit } }: CliError): boolean =>
  exit !== EXIT.interrupted && MENDED.has(code);

const AGAIN = Symbol("again");
const GIVE_UP = Symbol("give up");

async function chooseNext(
  prompts: Prompts,
  called: string,
  members: readonly string[],
  { parts: { where } }: CliError,
): Promise<string | typeof AGAIN | typeof GIVE_UP> {
  const named = (where ?? "").split(/[.[]/).find((part) => members.includes(part));
  const at = await prompts.choose({
    path: "",
    ask: `${called} is not registered`,
    about: null,
    choices: [
      { name: "try again", about: "The same answers, once it is mended where they point to." },
      ...members.map((name) => ({ name: `change ${name}`, about: null })),
      { name: "give up", about: "Nothing is registered." },
    ],
    standard: named === undefined ? 0 : members.indexOf(named) + 1,
  });
  if (at === 0) return AGAIN;
  return members[at - 1] ?? GIVE_UP;
}
