import checkbox from "@inquirer/checkbox";
import confirm from "@inquirer/confirm";
import input from "@inquirer/input";
import password from "@inquirer/password";
import select from "@inquirer/select";
import { interruption } from "../api/interruptible-api.ts";
import { usageError } from "../cli-error.ts";
import { cleanText } from "../render/clean-text.ts";
import type { Paint } from "../render/paint.ts";
import { GuardedKeys, type TerminalInput } from "./guarded-keys.ts";
import { KeyFilter, MARK_PASTES } from "./key-filter.ts";
import { wrapWords } from "./wrap-words.ts";
import type { Choice, Prompts, Question, TextQuestion } from "./prompts.ts";

interface Terminal {
  readonly input: TerminalInput;
  /** Of as many columns as it has at the moment; 80 where it does not say. */
  readonly output: NodeJS.WritableStream & { readonly columns?: number };
  readonly paint: Paint;
  /** Whether it understands more than letters: TERM is not `dumb`. */
  readonly marksPastes: boolean;
}

/** Without colours of the library's own: what is emphasised is ours to say. */
const PREFIX = { idle: "?", done: "✓" };
const CHOICES_SHOWN = 12;

/** Asks on a terminal. What is asked is shown there, so that standard output stays the result's. */
export function terminalPrompts(terminal: Terminal): Prompts {
  const { output, paint } = terminal;
  const say = (line: string): void => {
    for (const part of wrapWords(cleanText(line), output.columns ?? 80)) {
      output.write(`${paint.dim(part)}\n`);
    }
  };
  const open = ({ ask, about }: Question): { readonly message: string; readonly theme: Theme } => {
    if (about !== null) say(about);
    return { message: cleanText(ask), theme: { prefix: PREFIX } };
  };
  return {
    say,
    text: (question) =>
      withKeys(terminal, true, (context, filter) =>
        input(
          {
            ...open(question),
            ...(question.standard === null ? {} : { default: question.standard }),
            validate: checkOf(question, filter),
          },
          context,
        ),
      ),
    secret: (question) =>
      withKeys(terminal, true, (context, filter) =>
        password({ ...open(question), validate: checkOf(question, filter) }, context),
      ),
    choose: (question) =>
      withKeys(terminal, false, (context) =>
        select(
          {
            ...open(question),
            choices: choicesOf(question.choices),
            default: question.standard,
            pageSize: CHOICES_SHOWN,
            loop: false,
          },
          context,
        ),
      ),
    chooseSeveral: (question) =>
      withKeys(terminal, false, (context) =>
        checkbox(
          {
            ...open(question),
            choices: choicesOf(question.choices),
            pageSize: CHOICES_SHOWN,
            loop: false,
          },
          context,
        ),
      ),
    confirm: (question) =>
      withKeys(terminal, false, (context) =>
        confirm({ ...open(question), default: question.standard }, context),
      ),
  };
}

interface Theme {
  readonly prefix: typeof PREFIX;
}
interface Context {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
  readonly signal: AbortSignal;
}

const checkOf =
  ({ check }: Pick<TextQuestion, "check">, filter: KeyFilter) =>
  (text: string): true | string => {
    const refusal = filter.takeRefusal() ?? check(text);
    return refusal === null ? true : cleanText(refusal);
  };

const choicesOf = (choices: readonly Choice[]) =>
  choices.map(({ name, about }, value) => ({
    value,
    name: cleanText(name),
    short: cleanText(name),
    ...(about === null ? {} : { description: cleanText(about) }),
  }));

async function withKeys<T>(
  { input: keys, output, marksPastes }: Terminal,
  takesText: boolean,
  ask: (context: Context, filter: KeyFilter) => Promise<T>,
): Promise<T> {
  const filter = new KeyFilter(takesText);
  const ended = new AbortController();
  const guarded = new GuardedKeys(keys, filter, () => ended.abort());
  if (marksPastes) output.write(MARK_PASTES.on);
  try {
    return await ask({ input: guarded, output, signal: ended.signal }, filter);
  } catch (error) {
    if (ended.signal.aborted) {
      throw usageError("The input ended before all was answered.", "Nothing was done. Answer on.");
    }
    // By its name, as the library says: there may be two copies of it.
    if (error instanceof Error && error.name === "ExitPromptError") throw interruption(0, null);
    throw error;
  } finally {
    guarded.release();
    if (marksPastes) output.write(MARK_PASTES.off);
  }
}
