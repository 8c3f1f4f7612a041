/**
 * `npm run fuzz:parsers -- [--inputs N] [--parser NAME]... [--seed TEXT] [--json]`: N inputs for
 * each parser that meets bytes of strangers before anybody is authenticated. Exit code 1 when one
 * threw what is not its own error, accepted what does not encode to the same again, took more time
 * or memory than its input's length allows, or kept memory. An input that never ends kills the
 * process once it is written to standard error.
 */
import { countedRun } from "../harness/counted-run.ts";
import { watchForEndlessInput } from "./endless-input.ts";
import { mebibytes } from "./measured-parse.ts";
import { PARSERS } from "./parsers.ts";
import { runParser, type ParserRun } from "./run-parser.ts";

/** No input takes a thousandth of it. */
const ENDLESS_CPU_MS = 120_000;
/** Beyond what is held: pages that the platform has not given back, half a GiB after 10^6 forms. */
const RESIDENT_BYTES_MAX = 1024 * 1024 * 1024;

function lineOf(name: string, seed: string, run: ParserRun, residentBytes: number): string {
  const { inputs, accepted, dearest, heldBytes } = run;
  return (
    `${name.padEnd(22)} ${inputs} inputs, ${accepted} accepted, at most ` +
    `${dearest.cpuMs.toFixed(1)} ms of CPU and ${mebibytes(dearest.heapBytes)} for one, ` +
    `${mebibytes(heldBytes)} still held, ${mebibytes(residentBytes)} resident, seed ${seed}`
  );
}

process.exitCode = await countedRun(
  {
    name: "fuzz:parsers",
    counted: "inputs",
    byDefault: 1_000_000,
    about:
      "Gives each parser that strangers reach damaged and large inputs, and checks what it makes " +
      "of them.",
    choice: { name: "parser", from: PARSERS.map(({ name }) => name) },
  },
  async ({ count, seed, chosen, stop, progress }) => {
    const summary: object[] = [];
    const report: string[] = [];
    let failed = false;
    for (const parser of PARSERS.filter(({ name }) => chosen.includes(name))) {
      if (stop.aborted) break;
      const watch = watchForEndlessInput(`${parser.name}, seed ${seed}`, ENDLESS_CPU_MS);
      const run = await runParser(parser, count, seed, { stop, beginning: watch.beginning });
      await watch.stop();
      const residentBytes = process.memoryUsage.rss();
      const grew = residentBytes > RESIDENT_BYTES_MAX;
      const found = run.found ?? (grew ? `${mebibytes(residentBytes)} are resident` : null);
      failed ||= found !== null;
      summary.push({ parser: parser.name, seed, ...run, residentBytes, found });
      const line = lineOf(parser.name, seed, run, residentBytes);
      progress(line);
      report.push(line);
      if (found !== null) report.push(`FOUND: ${found}`);
    }
    return { failed, report, summary };
  },
);
