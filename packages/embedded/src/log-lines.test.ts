import { expect, test } from "vitest";
import { lineSplitter, newestLines } from "./log-lines.ts";

test("chunks become lines wherever they are cut", () => {
  const lines: string[] = [];
  const split = lineSplitter((line) => lines.push(line));
  for (const chunk of ["one\ntw", "o\n", "\nthr", "ee"]) split(chunk);
  expect(lines).toEqual(["one", "two", ""]);
  split("\n");
  expect(lines.at(-1)).toBe("three");
});

test("a line without an end is cut, so that memory stays bounded", () => {
  const lines: string[] = [];
  const split = lineSplitter((line) => lines.push(line));
  split("x".repeat(20_000));
  expect(lines.map((line) => line.length)).toEqual([8_192, 8_192]);
});

test("only the newest lines are remembered", () => {
  const words = newestLines(2);
  for (const line of ["a", "b", "c"]) words.add(line);
  expect(words.list()).toEqual(["b", "c"]);
});
