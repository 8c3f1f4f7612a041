import { createHash } from "node:crypto";
import fc from "fast-check";
import type { FuzzedParser } from "./fuzzed-parser.ts";

export interface ParserRun {
  readonly inputs: number;
  readonly accepted: number;
  /** What did not hold, with the input that shows it, made smaller; or null. */
  readonly found: string | null;
  /** Of the garbage collector's heap, after the run less before it. */
  readonly heapGrowthBytes: number;
}

/** Seeds of fast-check are 32-bit integers. */
const seedOf = (text: string): number => createHash("sha256").update(text).digest().readInt32BE();

/** In slices, so that fast-check keeps nothing of a million inputs. */
const SLICE = 20_000;

/**
 * `count` inputs from a seed; the same seed and count are the same inputs. `stop` aborted: none
 * after the slice that is under way.
 */
export async function runParser(
  parser: FuzzedParser,
  count: number,
  seed: string,
  stop?: AbortSignal,
): Promise<ParserRun> {
  const before = process.memoryUsage().heapUsed;
  let accepted = 0;
  let inputs = 0;
  while (inputs < count && stop?.aborted !== true) {
    const numRuns = Math.min(SLICE, count - inputs);
    const property = fc.asyncProperty(parser.inputs, async (input) => {
      if (await parser.check(input)) accepted += 1;
    });
    const outcome = await fc.check(property, { numRuns, seed: seedOf(`${seed} ${inputs}`) });
    inputs += outcome.numRuns;
    if (outcome.failed) {
      const error = outcome.errorInstance;
      const inner = error instanceof Error ? error.cause : undefined;
      const cause = inner instanceof Error ? ` (${inner.message})` : "";
      const found = `${fc.defaultReportMessage(outcome) ?? "failed"}\n${String(error)}${cause}`;
      return { inputs, accepted, found, heapGrowthBytes: 0 };
    }
  }
  const heapGrowthBytes = process.memoryUsage().heapUsed - before;
  return { inputs, accepted, found: null, heapGrowthBytes };
}
