import { expect, test } from "vitest";
import { ANSWERS_MAX, createRememberedAnswers, type CedarAnswer } from "./remembered-answers.ts";

const ALLOW: CedarAnswer = { decision: "allow", reason: ["a"], failed: [] };

test("an answer is asked for once, and one that Cedar did not give again and again", () => {
  const answers = createRememberedAnswers();
  let asked = 0;
  const ask = (answer: CedarAnswer | null) => () => {
    asked += 1;
    return answer;
  };
  expect(answers.of("a", ask(ALLOW))).toBe(ALLOW);
  expect(answers.of("a", ask(null))).toBe(ALLOW);
  expect(asked).toBe(1);
  expect(answers.of("b", ask(null))).toBeNull();
  expect(answers.of("b", ask(ALLOW))).toBe(ALLOW);
  expect(asked).toBe(3);
});

test("there are so many at most, the least recently used goes first, and long keys are not kept", () => {
  const answers = createRememberedAnswers();
  const never = (): CedarAnswer => {
    throw new Error("asked again");
  };
  answers.of("first", () => ALLOW);
  for (let n = 0; n < ANSWERS_MAX; n += 1) {
    answers.of(`${n}`, () => ALLOW);
    answers.of("first", never);
  }
  expect(answers.size).toBe(ANSWERS_MAX);
  expect(() => answers.of("0", never)).toThrow("asked again");
  answers.of("x".repeat(5_000), () => ALLOW);
  expect(() => answers.of("x".repeat(5_000), never)).toThrow("asked again");
});
