import { cpus, release, totalmem } from "node:os";
import { isMet, reaches, shownTarget, type BenchRow, type RowResult } from "./bench-row.ts";

export interface Told {
  readonly row: BenchRow;
  readonly result: RowResult;
}

export interface PageInput {
  readonly told: readonly Told[];
  readonly missing: readonly BenchRow[];
  readonly rounds: number;
  readonly seconds: number;
  readonly queue: string;
  readonly postgres: string;
  readonly date: string;
}

/** `docs/benchmarks.md`: what one run of the benchmark has measured. */
export function benchmarksPage(input: PageInput): string {
  const { told, missing, rounds, seconds } = input;
  const [cpu] = cpus();
  return `${[
    "# Benchmarks",
    "",
    "Written by `npm run bench -- --write`. Each figure is a ratio of two things that were measured in",
    "turn, in one run, on one machine; of the absolute ones think what you like. A target that was",
    "missed is here as missed, with what holds it back. A row that wants more than one ratio is met when",
    "all are: `…` leads to its further ones.",
    "",
    "## How to repeat it",
    "",
    "<!-- not run: it takes an hour, and wants a machine for itself -->",
    "```sh",
    "npm run bench                                  # all rows",
    "npm run bench -- --only exchange-fast --json   # one, with a line of JSON at the end",
    "```",
    "",
    "Rows beside another program are left out, by name, where it is not on the `PATH`: `pgbench`,",
    "`openssl`, `bao` (OpenBao). `--json` ends with one object on one line, an entry for each row, and in",
    "it under `also` the further ratios of a row that wants several; its `met` is of all of them.",
    "",
    "## Where and with what",
    "",
    `- ${input.date}; ${cpus().length} × ${cpu?.model.trim() ?? "unknown"}, ` +
      `${Math.round(totalmem() / 2 ** 30)} GiB; Linux ${release()}; Node ${process.version}`,
    `- PostgreSQL ${input.postgres}, fsync on; queue: ${input.queue}`,
    `- ${rounds} rounds of ${seconds} s for each side, a broker warmed up; the load generator is on the same`,
    "  cores",
    "",
    "## Targets",
    "",
    "| row | ratio | least to greatest | target | |",
    "| --- | --- | --- | --- | --- |",
    ...told.flatMap(tableLines),
    ...missing.map(({ name }) => `| \`${name}\` | | | | not measured in this run |`),
    "",
    ...told.flatMap(section),
  ].join("\n")}`;
}

/** The row's own line, whose verdict is the whole row's, and one for each further target. */
function tableLines({ row, result }: Told): readonly string[] {
  const [least, greatest] = result.spread.map((value) => value.toFixed(3));
  return [
    `| \`${row.name}\` | ${result.ratio.toFixed(3)} | ${least} to ${greatest} | ` +
      `${shownTarget(row.target)} | ${verdict(isMet(row.target, result))} |`,
    ...(result.also ?? []).map(
      ({ name, ratio, target }) =>
        `| … ${name} | ${ratio.toFixed(3)} | | ${shownTarget(target)} | ` +
        `${verdict(reaches(target, ratio))} |`,
    ),
  ];
}

const verdict = (met: boolean): string => (met ? "met" : "**missed**");

function section({ row, result }: Told): readonly string[] {
  return [
    `### ${row.name}`,
    "",
    `${row.title}.`,
    "",
    ...result.facts.map((fact) => `- ${fact}`),
    ...result.broken.map((what) => `- **not kept**: ${what}`),
    "",
  ];
}
