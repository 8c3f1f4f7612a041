import { createHash } from "node:crypto";
import { setImmediate as turnOfTheLoop } from "node:timers/promises";
import fc from "fast-check";
import type { FuzzedParser } from "./fuzzed-parser.ts";
import { grownText } from "./grown-text.ts";
import { measuredParse, mebibytes, TooDear, type InputCost } from "./measured-parse.ts";

export interface ParserRun {
  readonly inputs: number;
  readonly accepted: number;
  /** What did not hold, with the input that shows it, made smaller; or null. */
  readonly found: string | null;
  /** Of any one input, each. */
  readonly dearest: InputCost;
  /** What is still held, when all garbage is collected, of all inputs after the first slice. */
  readonly heldBytes: number;
}

/** Seeds of fast-check are 32-bit integers. */
const seedOf = (text: string): number => createHash("sha256").update(text).digest().readInt32BE();

/** In slices, so that fast-check keeps nothing of a million inputs. */
const SLICE = 5_000;
/** One input in so many is a large one. */
const LARGE_ONE_IN = 50;
/** Caches that fill once, and code that was compiled. */
const HELD_BYTES_MAX = 24 * 1024 * 1024;

export interface ParserRunOptions {
  /** Aborted: none after the slice that is under way. */
  readonly stop?: AbortSignal;
  /** Hears of each input before it is parsed. */
  readonly beginning?: (input: string) => void;
  /** Whether some inputs are large ones. Default: true. */
  readonly large?: boolean;
}

/** `count` inputs from a seed; the same seed and count are the same inputs. */
export async function runParser(
  parser: FuzzedParser,
  count: number,
  seed: string,
  { stop, beginning = () => undefined, large = true }: ParserRunOptions = {},
): Promise<ParserRun> {
  const inputs = fc.oneof(
    { weight: LARGE_ONE_IN - 1, arbitrary: parser.inputs },
    { weight: large ? 1 : 0, arbitrary: grownText(parser) },
  );
  const run = { inputs: 0, accepted: 0, dearest: { cpuMs: 0, heapBytes: 0 } };
  let tooDear: unknown;
  const property = fc.asyncProperty(inputs, async (input) => {
    // What is dear is not tried over and over to make it smaller.
    if (tooDear !== undefined) return;
    beginning(input);
    const { encodesAgain, cost } = await measuredParse(parser, input).catch((error: unknown) => {
      if (error instanceof TooDear) tooDear = error;
      throw error;
    });
    run.dearest = {
      cpuMs: Math.max(run.dearest.cpuMs, cost.cpuMs),
      heapBytes: Math.max(run.dearest.heapBytes, cost.heapBytes),
    };
    await encodesAgain?.();
    if (encodesAgain !== null) run.accepted += 1;
  });
  let before = 0;
  while (run.inputs < count && stop?.aborted !== true) {
    // The first one is half at most: what it leaves behind is what the others begin with.
    const most = run.inputs === 0 ? Math.ceil(count / 2) : count - run.inputs;
    const numRuns = Math.min(SLICE, most);
    const outcome = await fc.check(property, { numRuns, seed: seedOf(`${seed} ${run.inputs}`) });
    // Else no signal is heard, and what the platform frees in a turn of its own is never freed.
    await turnOfTheLoop();
    if (run.inputs === 0) before = await heldBytes();
    run.inputs += outcome.numRuns;
    if (outcome.failed) return { ...run, found: findingOf(outcome), heldBytes: 0 };
  }
  const held = (await heldBytes()) - before;
  const found = held > HELD_BYTES_MAX ? `${mebibytes(held)} are still held after the run` : null;
  return { ...run, found, heldBytes: held };
}

/** Exposed from the start: a flag that is set while the compiler is at work crashes the process. */
async function heldBytes(): Promise<number> {
  if (globalThis.gc === undefined) throw new Error("parsers are fuzzed by node --expose-gc");
  globalThis.gc();
  // What is native is let go in a turn after the collection that found it free.
  await turnOfTheLoop();
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const SHOWN_CHARACTERS = 2000;

/** Seed and path make the very input again; a large one is not shown whole. */
function findingOf({ counterexample, seed, counterexamplePath, errorInstance }: Failed): string {
  const shown = JSON.stringify(counterexample?.[0]).slice(0, SHOWN_CHARACTERS);
  const error = errorInstance instanceof Error ? errorInstance : new Error(String(errorInstance));
  const cause = error.cause instanceof Error ? ` (${error.cause.stack ?? ""})` : "";
  return (
    `${error.message}${cause}\n  input of ${counterexample?.[0].length ?? 0} characters: ${shown}\n` +
    `  fast-check's seed ${seed}, path ${counterexamplePath ?? ""}`
  );
}

type Failed = fc.RunDetails<[string]>;
