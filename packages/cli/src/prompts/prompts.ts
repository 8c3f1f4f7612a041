/** One question. The path says where its answer goes: `standbys[0].host`. */
export interface Question {
  readonly path: string;
  readonly ask: string;
  /** What it means, and what may be answered. */
  readonly about: string | null;
}
export interface TextQuestion extends Question {
  /** What an empty answer stands for; null: for itself. */
  readonly standard: string | null;
  /** Why this is no answer; null: it is one. */
  readonly check: (text: string) => string | null;
}
export interface Choice {
  readonly name: string;
  readonly about: string | null;
}
export interface ChoiceQuestion extends Question {
  readonly choices: readonly Choice[];
  /** Its place among the choices. */
  readonly standard: number;
}

/**
 * Asks a person, one question at a time, until there is an answer. Throws where the person ends it
 * (Ctrl-C), or the terminal goes away; then nothing is asked any more.
 */
export interface Prompts {
  text(question: TextQuestion): Promise<string>;
  /** Nothing of it is shown, its length neither. */
  secret(question: Omit<TextQuestion, "standard">): Promise<string>;
  /** The place of the one that was chosen. */
  choose(question: ChoiceQuestion): Promise<number>;
  /** The places of those that were chosen, in their order. */
  chooseSeveral(question: Omit<ChoiceQuestion, "standard">): Promise<readonly number[]>;
  /** A line beside the questions: why an answer is none, or what comes. */
  say(line: string): void;
  confirm(question: Question & { readonly standard: boolean }): Promise<boolean>;
}
