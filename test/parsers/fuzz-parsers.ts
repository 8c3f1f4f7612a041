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
  async ({ count, seed, json }) => {
    let failures = 0;
    for (const parser of PARSERS) {
      const { inputs, accepted, found, heapGrowthBytes } = await runParser(parser, count, seed);
      const grew = heapGrowthBytes > HEAP_GROWTH_BYTES_MAX;
      if (found !== null || grew) failures += 1;
      const outcome = { parser: parser.name, inputs, accepted, seed, found, grew };
      process.stdout.write(
        json
          ? `${JSON.stringify(outcome)}\n`
          : `${parser.name.padEnd(22)} ${inputs} inputs, ${accepted} accepted, seed ${seed}` +
              `${found === null ? "" : `\nFOUND: ${found}`}${grew ? "\nFOUND: memory grew" : ""}\n`,
      );
    }
    return failures === 0 ? 0 : 1;
  },
);
