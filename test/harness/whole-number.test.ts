import { expect, test } from "vitest";
import { wholeNumber } from "./whole-number.ts";

test.each([
  ["1", 1],
  ["20000", 20_000],
  ["9007199254740991", Number.MAX_SAFE_INTEGER],
])("%s is a whole number", (text, value) => {
  expect(wholeNumber("kills", text)).toBe(value);
});

test.each([
  "",
  "0",
  "-1",
  "+5",
  "05",
  "5.0",
  "1e3",
  "0x10",
  "0b1",
  "1_000",
  " 5",
  "5 ",
  "٣",
  "NaN",
])("%j is none", (text) => {
  expect(() => wholeNumber("kills", text)).toThrow(
    "--kills: expected a whole number from 1 on, in decimal digits",
  );
});

test("what is no text, what cannot be told apart, and what is above the most, is none", () => {
  expect(() => wholeNumber("kills", undefined)).toThrow("--kills");
  expect(() => wholeNumber("kills", "9007199254740993")).toThrow("--kills");
  expect(wholeNumber("rounds", "100", 100)).toBe(100);
  expect(() => wholeNumber("rounds", "101", 100)).toThrow(
    "--rounds: expected a whole number from 1 to 100, in decimal digits",
  );
});
