/**
 * `npm run fuzz:parsers -- [--inputs N] [--seed TEXT] [--json]`: N inputs for each parser that
 * meets bytes of strangers before anybody is authenticated. Exit code 1 when one threw what is not
 * its own error, or accepted what does not encode to the same again, or when memory grew.
 */
import { countedRun } from "../harness/counted-run.ts";
import { PARSERS } from "./parsers.ts";
import { runParser } from "./run-parser.ts";

/** A million inputs leave nothing behind but what is not collected yet. */
const HEAP_GROWTH_BYTES_MAX = 512 * 1024 * 1024;

process.exitCode = await countedRun(
  {
    name: "fuzz:parsers",
    counted: "inputs",
    byDefault: 1_000_000,
    about:
      "Gives each parser that strangers reach damaged inputs, and checks what it makes of them.",
  },
  async ({ count, seed, stop, progress }) => {
    const summary: object[] = [];
    const report: string[] = [];
    let failed = false;
    for (const parser of PARSERS) {
      if (stop.aborted) break;
      const run = await runParser(parser, count, seed, stop);
      const { inputs, accepted, found } = run;
      const grew = run.heapGrowthBytes > HEAP_GROWTH_BYTES_MAX;
      failed ||= found !== null || grew;
      summary.push({ parser: parser.name, inputs, accepted, seed, found, grew });
      const line = `${parser.name.padEnd(22)} ${inputs} inputs, ${accepted} accepted, seed ${seed}`;
      progress(line);
      report.push(line);
      if (found !== null) report.push(`FOUND: ${found}`);
      if (grew) report.push("FOUND: memory grew");
    }
    return { failed, report, summary };
  },
);
