import { expect, test } from "vitest";
import { jsonOfGiven, readGivenAnswers } from "./given-answers.ts";

const valueOf = (...set: readonly string[]): unknown =>
  jsonOfGiven(readGivenAnswers({ set, setFile: [], fromEnv: [] }))?.value;

test("a list has its items where the flags say, in whichever order these come", () => {
  const flags = Array.from({ length: 12 }, (_, at) => `claims.levels[${at}]=${at}`);
  const levels = Array.from({ length: 12 }, (_, at) => at);
  expect(valueOf(...flags.toReversed())).toEqual({ claims: { levels } });
});

test.each([
  [["claims.levels[1]=1"], "claims.levels[0]"],
  [["claims.levels[0]=1", "claims.levels[2]=3"], "claims.levels[1]"],
  [["grid[0][1]=1"], "grid[0][0]"],
])("a list of which %j leaves a place out is refused, at that place", (flags, where) => {
  let told: unknown = null;
  try {
    valueOf(...flags);
  } catch (error) {
    told = error;
  }
  expect(told).toMatchObject({ parts: { what: "The places of a list begin at 0.", where } });
});
