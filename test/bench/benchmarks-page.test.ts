import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { BenchRow } from "./bench-row.ts";
import { benchmarksPage } from "./benchmarks-page.ts";
import { readMeasuredRows, writeMeasuredRows, type Measured } from "./measured-rows.ts";
import { ROWS } from "./rows.ts";

const DOCS = new URL("../../docs/", import.meta.url).pathname;

const measured = (rest: Partial<Measured> = {}): Measured => ({
  date: "2026-11-30",
  machine: "2 × test, 24 GiB",
  node: "v26.10.0",
  postgres: "18",
  queue: "BullMQ on Redis",
  rounds: 5,
  seconds: 10,
  result: { ratio: 2, spread: [1, Number.NaN], facts: ["a fact"], broken: [] },
  ...rest,
});
const row = (name: string): BenchRow => ({
  name,
  title: `what ${name} measures`,
  target: { ratio: 1, is: "at_least" },
  run: () => Promise.reject(new Error("not run here")),
});

test("the page is what the figures in the repository make", async () => {
  const rows = await readMeasuredRows(join(DOCS, "benchmarks.json"));
  const names = ROWS.map(({ name }) => name);
  expect(Object.keys(rows).filter((name) => !names.includes(name))).toEqual([]);
  expect(await readFile(join(DOCS, "benchmarks.md"), "utf8")).toBe(benchmarksPage(ROWS, rows));
});

test("figures come back from the file as they went, a round without a reply too", async () => {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-measured-"));
  try {
    const path = join(folder, "benchmarks.json");
    expect(await readMeasuredRows(path)).toEqual({});
    const also = [{ name: "more", ratio: 1, target: { ratio: 1, is: "at_most" as const } }];
    const rows = { one: measured(), two: measured({ result: { ...measured().result, also } }) };
    await writeMeasuredRows(path, rows);
    expect(await readMeasuredRows(path)).toEqual(rows);
    await writeFile(path, `{"rows": {"one": {"date": "2026-11-30"}}}`);
    await expect(readMeasuredRows(path)).rejects.toThrow("machine");
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a row says with what it was measured, and one that was not says that", () => {
  const other = measured({ rounds: 3, result: { ...measured().result, broken: ["a condition"] } });
  const page = benchmarksPage([row("one"), row("two"), row("three")], {
    one: measured(),
    two: other,
  });
  expect(page).toContain("5 rounds of 10 s for each side: `one`\n");
  expect(page).toContain("3 rounds of 10 s for each side: `two`\n");
  expect(page).toContain("| `one` | 2.000 | 1.000 to NaN | ≥ 1 | met |");
  expect(page).toContain("| `two` | 2.000 | 1.000 to NaN | ≥ 1 | **missed** |");
  expect(page).toContain("| `three` | | | | not measured |");
  expect(page).toContain("- **not kept**: a condition");
});
