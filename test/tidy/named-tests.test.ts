import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { arrowsAstray, namedButGone, testsNamedIn, titlesIn } from "./named-tests.ts";
import { read, repositoryFiles, ROOT } from "./repository.ts";

/*
 * A page that says "held by this test" is believed. A test that was renamed or dropped would leave
 * the promise standing and nobody holding it.
 */
const readOrNull = (path: string): string | null =>
  existsSync(join(ROOT, path)) ? read(path) : null;

/** Below these numbers a page has lost its promises, or this test cannot read them any more. */
const LEAST: Readonly<Record<string, number>> = {
  "docs/invariants.md": 60,
  "docs/issue-cycle.md": 15,
  "docs/conformance.md": 180,
  "ARCHITECTURE.md": 10,
};

describe("tests that a page names", () => {
  test("are there, in that file, under that title", async () => {
    const pages = (await repositoryFiles()).filter((path) => path.endsWith(".md"));
    for (const page of Object.keys(LEAST)) expect(pages).toContain(page);
    const gone = pages.flatMap((page) =>
      namedButGone(read(page), readOrNull).map((problem) => `${page}: ${problem}`),
    );
    expect(gone).toEqual([]);
  });

  test("are files that the suite runs, or contract suites that such a file calls", async () => {
    const named = Object.keys(LEAST).flatMap((page) => testsNamedIn(read(page)));
    const stray = named.filter(
      ({ path }) =>
        !path.endsWith(".test.ts") && !path.startsWith("packages/testkit/src/contract/"),
    );
    expect(stray).toEqual([]);
    const sources = (await repositoryFiles()).filter((path) => path.endsWith(".test.ts"));
    const suites = new Set(
      [...read("packages/testkit/src/contract/index.ts").matchAll(/\b\w+Contract\b/g)]
        .map(([name]) => name)
        .filter((name) => /^[a-z]/.test(name)),
    );
    expect(suites.size).toBeGreaterThan(5);
    const uncalled = [...suites].filter(
      (suite) => !sources.some((path) => read(path).includes(`${suite}(`)),
    );
    expect(uncalled).toEqual([]);
  });

  test("are as many as these pages promise, each written so that it is found", () => {
    for (const [page, least] of Object.entries(LEAST)) {
      expect(testsNamedIn(read(page)).length, page).toBeGreaterThanOrEqual(least);
      expect(arrowsAstray(read(page)), page).toEqual([]);
    }
  });

  test("would be found out if they were not there", () => {
    const page =
      'Held by `a.test.ts` › "one\n  thing holds" and `a.test.ts` › "gone"; `b.test.ts` › "x".';
    const source = 'test("one thing holds", () => {});\n// test("gone", () => {});';
    const files: Readonly<Record<string, string>> = { "a.test.ts": source };
    expect(namedButGone(page, (path) => files[path] ?? null)).toEqual([
      'a.test.ts has no test "gone"',
      "there is no file b.test.ts",
    ]);
    expect(arrowsAstray('`a.test.ts` › a title\n`a.test.ts` › "whole"')).toEqual([
      "`a.test.ts` › a title",
    ]);
  });

  test("are read as vitest has them, whatever stands around the title", () => {
    const source = [
      'describe("no test", () => {',
      '  test("plain", async () => {});',
      '  it("of it", () => {});',
      '  test.each(["a title", "another"])("each %s", (value) => {});',
      '  test.for([\n    ["x"],\n  ])(\n    "on its own line",\n    () => {},\n  );',
      '  test.runIf(linux)("conditional", () => {});',
      '  test("says \\"so\\"", () => {});',
    ].join("\n");
    expect([...titlesIn(source)].toSorted()).toEqual(
      ["plain", "of it", "each %s", "on its own line", "conditional", 'says "so"'].toSorted(),
    );
  });
});
