import { cpus, release, totalmem } from "node:os";
import { isMet, type BenchRow, type RowResult } from "./bench-row.ts";

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
    "missed is here as missed, with what holds it back.",
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
    "`openssl`, `bao` (OpenBao).",
    "",
    "## Where and with what",
    "",
    `- ${input.date}; ${cpus().length} × ${cpu?.model.trim() ?? "unknown"}, ` +
      `${Math.round(totalmem() / 2 ** 30)} GiB; Linux ${release()}; Node ${process.version}`,
    `- PostgreSQL ${input.postgres}, fsync on; queue: ${input.queue}`,
    `- ${rounds} rounds of ${seconds} s for each side, after 2 s to warm up; the load generator is on the same`,
    "  cores",
    "",
    "## Targets",
    "",
    "| row | ratio | least to greatest | target | |",
    "| --- | --- | --- | --- | --- |",
    ...told.map(({ row, result }) => {
      const [least, greatest] = result.spread.map((value) => value.toFixed(3));
      return (
        `| \`${row.name}\` | ${result.ratio.toFixed(3)} | ${least} to ${greatest} | ` +
        `${wanted(row)} | ${isMet(row.target, result) ? "met" : "**missed**"} |`
      );
    }),
    ...missing.map(({ name }) => `| \`${name}\` | | | | not measured in this run |`),
    "",
    ...told.flatMap(section),
  ].join("\n")}`;
}

const wanted = ({ target }: BenchRow): string =>
  `${target.is === "at_least" ? "≥" : "≤"} ${target.ratio}`;

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
