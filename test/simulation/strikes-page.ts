import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { OF_PROCESS, awaits, expectedPairs } from "./places.ts";

const PAGE = join(import.meta.dirname, "../../docs/invariants.md");
const BEGIN = "<!-- strikes: written by `npm run simulate -- --write-page` -->";
const END = "<!-- strikes: end -->";

export interface LargestRun {
  readonly seed: string;
  readonly lifecycles: number;
  readonly histories: number;
  /** Of the run: 2026-11-29. */
  readonly day: string;
  /** By `<place> × <fault>`. */
  readonly strikes: ReadonlyMap<string, number>;
}

/** What a run hit, as two tables: what befell processes at their awaits, and what befell calls. */
export function renderRun(run: LargestRun): string {
  const count = (place: string, fault: string): number =>
    run.strikes.get(`${place} × ${fault}`) ?? 0;
  const ofProcess = new Set<string>(OF_PROCESS);
  const others = expectedPairs().filter(([, fault]) => !ofProcess.has(fault));
  return [
    `Seed \`${run.seed}\`, ${run.day}: ${run.lifecycles} lifecycles in ${run.histories} histories, no`,
    "invariant broken.",
    "",
    `| await | ${OF_PROCESS.join(" | ")} |`,
    `| --- | ${OF_PROCESS.map(() => "---:").join(" | ")} |`,
    ...awaits().map(
      (place) => `| ${place} | ${OF_PROCESS.map((fault) => count(place, fault)).join(" | ")} |`,
    ),
    "",
    "| call | what befell it | times |",
    "| --- | --- | ---: |",
    ...others.map(([place, fault]) => `| ${place} | ${fault} | ${count(place, fault)} |`),
  ].join("\n");
}

/** Puts it in the place of the run before. */
export function writeRun(run: LargestRun): void {
  const page = readFileSync(PAGE, "utf8");
  const [from, to] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (from < 0 || to < from) throw new Error("docs/invariants.md has no place for the strikes");
  const kept = [page.slice(0, from + BEGIN.length), page.slice(to)];
  writeFileSync(PAGE, kept.join(`\n\n${renderRun(run)}\n\n`));
}

/** How often each pair was hit, as the page says. */
export function readRun(): ReadonlyMap<string, number> {
  const page = readFileSync(PAGE, "utf8");
  const part = page.slice(page.indexOf(BEGIN), page.indexOf(END));
  const cells = part
    .split("\n")
    .filter((line) => line.startsWith("|") && !line.includes("---"))
    .map((line) =>
      line
        .split("|")
        .map((cell) => cell.trim())
        .slice(1, -1),
    );
  const told = new Map<string, number>();
  let faults: readonly string[] = [];
  for (const row of cells) {
    const [place = "", ...rest] = row;
    if (place === "await") faults = rest;
    else if (place === "call") faults = [];
    else if (faults.length === 0) told.set(`${place} × ${rest[0]}`, Number(rest[1]));
    else
      for (const [at, fault] of faults.entries()) told.set(`${place} × ${fault}`, Number(rest[at]));
  }
  return told;
}
