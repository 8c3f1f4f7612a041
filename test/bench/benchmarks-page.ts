import { isMet, reaches, shownTarget, type BenchRow } from "./bench-row.ts";
import type { Measured, MeasuredRows } from "./measured-rows.ts";

interface Told {
  readonly row: BenchRow;
  readonly measured: Measured;
}

/** `docs/benchmarks.md`: what was measured last of each row. */
export function benchmarksPage(rows: readonly BenchRow[], measured: MeasuredRows): string {
  const told = rows.flatMap((row): readonly Told[] => {
    const one = measured[row.name];
    return one === undefined ? [] : [{ row, measured: one }];
  });
  return `${[
    "# Benchmarks",
    "",
    "Written by `npm run bench -- --write`, from `docs/benchmarks.json`, which keeps the last run of",
    "each row. Each figure is a ratio of two things that were measured in turn, in one run, on one",
    "machine; of the absolute ones think what you like. A target that was missed is here as missed, with",
    "what holds it back. A row that wants more than one ratio is met when all are: `…` leads to its",
    "further ones.",
    "",
    "## How to repeat it",
    "",
    "<!-- not run: it takes an hour, and wants a machine for itself -->",
    "```sh",
    "npm run bench                                  # all rows",
    "npm run bench -- --only exchange-fast --json   # one, with a line of JSON at the end",
    "npm run bench -- --only policy --write         # one, whose figures replace those of this page",
    "```",
    "",
    "Rows beside another program are left out, by name, where it is not on the `PATH`: `pgbench`,",
    "`openssl`, `bao` (OpenBao). `--json` ends with one object on one line, an entry for each row, and in",
    "it under `also` the further ratios of a row that wants several; its `met` is of all of them.",
    "",
    "## Where and with what",
    "",
    "fsync is on, a broker was warmed up, and the load generator is on the same cores.",
    "",
    ...conditions(told),
    "",
    "## Targets",
    "",
    "| row | ratio | least to greatest | target | |",
    "| --- | --- | --- | --- | --- |",
    ...rows.flatMap((row) => {
      const one = told.find((each) => each.row === row);
      return one === undefined ? [`| \`${row.name}\` | | | | not measured |`] : tableLines(one);
    }),
    "",
    ...told.flatMap(section),
  ].join("\n")}`;
}

/** Once each, with the rows that it is of: all of them as a rule. */
function conditions(told: readonly Told[]): readonly string[] {
  const by = new Map<string, string[]>();
  for (const { row, measured } of told) {
    const { date, machine, node, postgres, queue, rounds, seconds } = measured;
    const what =
      `${date}; ${machine}; Node ${node}; PostgreSQL ${postgres}; queue: ${queue}; ` +
      `${rounds} rounds of ${seconds} s for each side`;
    by.set(what, [...(by.get(what) ?? []), `\`${row.name}\``]);
  }
  return [...by].map(([what, names]) => `- ${what}: ${names.join(", ")}`);
}

/** The row's own line, whose verdict is the whole row's, and one for each further target. */
function tableLines({ row, measured: { result } }: Told): readonly string[] {
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

function section({ row, measured: { result } }: Told): readonly string[] {
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
