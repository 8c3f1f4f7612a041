import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { FAIL_POINTS } from "@mayfly/spec";

/*
 * The table of docs/issue-cycle.md is a promise for each row. Each row with a fail point has to
 * have a test that is named after both.
 */
const DOCUMENT = join(import.meta.dirname, "../../docs/issue-cycle.md");

interface Row {
  readonly number: number;
  readonly point: string;
}

/** One for each fail point that a row of a table names. */
function rowsOf(document: string): readonly Row[] {
  return document.split("\n").flatMap((line) => {
    const [, number, , points = ""] = line.split("|").map((cell) => cell.trim());
    if (number === undefined || !/^\d+$/.test(number)) return [];
    return [...points.matchAll(/`([a-z_]+\.[a-z]+)`/g)].map(([, point = ""]) => ({
      number: Number(number),
      point,
    }));
  });
}

const titlesOf = (source: string): readonly string[] =>
  [...source.matchAll(/\btest\("(row \d+: [^"]+)"/g)].map(([, title = ""]) => title);

const untested = (document: string, titles: readonly string[]): readonly Row[] =>
  rowsOf(document).filter(
    ({ number, point }) =>
      !titles.some((title) => title.startsWith(`row ${number}: killed at ${point},`)),
  );

async function allTitles(): Promise<readonly string[]> {
  const files = (await readdir(import.meta.dirname)).filter((name) => name.endsWith(".test.ts"));
  const sources = await Promise.all(
    files.map((name) => readFile(join(import.meta.dirname, name), "utf8")),
  );
  return sources.flatMap(titlesOf);
}

test("every row of the issue cycle that has a fail point has its crash test", async () => {
  const document = await readFile(DOCUMENT, "utf8");
  expect(rowsOf(document).length).toBe(FAIL_POINTS.length);
  expect(untested(document, await allTitles())).toEqual([]);
});

test("every fail point of the code is in a row, and the other way round", async () => {
  const points = rowsOf(await readFile(DOCUMENT, "utf8")).map(({ point }) => point);
  expect(points.toSorted()).toEqual([...FAIL_POINTS].toSorted());
});

test("a row without a test is found, by number and by point", async () => {
  const titles = await allTitles();
  const row = (number: number, point: string) => `| ${number} | step | \`${point}\` | x | y |`;
  expect(untested(row(6, "reserve.after"), titles)).toEqual([]);
  expect(untested(row(18, "reserve.after"), titles)).toEqual([
    { number: 18, point: "reserve.after" },
  ]);
  expect(untested(row(6, "reserve.later"), titles)).toEqual([
    { number: 6, point: "reserve.later" },
  ]);
  expect(untested(row(6, "reserve.after"), [])).toHaveLength(1);
});
