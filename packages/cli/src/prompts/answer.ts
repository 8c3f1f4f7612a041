import type { Json, JsonObject, Secret } from "@mayfly/spec";

/** A text that is not written where it is used: typed unseen, or named by where it is. */
export class HeldText {
  /** `env:NAME` or `file:PATH`, as files say it; null: it was typed. */
  readonly from: string | null;
  /** Null: it is read by whoever reads the file. */
  readonly text: Secret | null;
  /** Whether nobody may see it. */
  readonly hidden: boolean;
  constructor(from: string | null, text: Secret | null, hidden: boolean) {
    this.from = from;
    this.text = text;
    this.hidden = hidden;
  }
}

/** JSON in which some texts are held. */
export type Answer =
  | null
  | boolean
  | number
  | string
  | HeldText
  | readonly Answer[]
  | { readonly [name: string]: Answer };
export type AnswerObject = { readonly [name: string]: Answer };

/** For the broker, every text in its place. */
export const sentAnswer = (answer: AnswerObject): JsonObject =>
  mapObject(answer, ({ text }) => text?.expose("upstream") ?? "");

/** For a file: where a text is, and never the text. */
export const filedAnswer = (answer: AnswerObject): JsonObject =>
  mapObject(answer, ({ from }) => ({ from: from ?? "stdin" }));

/** For a person. */
export const shownAnswer = (answer: AnswerObject): JsonObject =>
  mapObject(answer, ({ from, hidden }) => {
    const origin = from === null ? "typed" : `from ${from}`;
    return hidden ? `[secret] ${origin}` : origin;
  });

type Held = (text: HeldText) => Json;

function mapAnswer(answer: Answer, held: Held): Json {
  if (answer instanceof HeldText) return held(answer);
  if (isList(answer)) return answer.map((item) => mapAnswer(item, held));
  if (typeof answer !== "object" || answer === null) return answer;
  return mapObject(answer, held);
}
const mapObject = (answer: AnswerObject, held: Held): JsonObject =>
  Object.fromEntries(
    Object.entries(answer).map(([name, member]) => [name, mapAnswer(member, held)]),
  );
const isList = (answer: Answer): answer is readonly Answer[] => Array.isArray(answer);
