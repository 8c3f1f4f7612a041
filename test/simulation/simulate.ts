/**
 * `npm run simulate -- [--lifecycles N] [--seed S] [--strikes] [--write-page] [--json]`: histories
 * of the real core until there were N lifecycles. One seed is one run, exactly. Exit code 1 when an
 * invariant broke; then the smallest history like it is printed. `--write-page` puts what was hit
 * into docs/invariants.md.
 */
import { parseArgs } from "node:util";
import { runMany, type ManyHistories } from "./run-many.ts";
import { writeRun } from "./strikes-page.ts";
import { shrink } from "./shrink.ts";

const USAGE =
  "usage: npm run simulate -- [--lifecycles N] [--seed TEXT] [--strikes] [--write-page] [--json]";
const PROGRESS_EVERY = 10_000;

function optionsOf(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      lifecycles: { type: "string", default: "20000" },
      seed: { type: "string" },
      strikes: { type: "boolean", default: false },
      "write-page": { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  const lifecycles = Number(values.lifecycles);
  if (!Number.isSafeInteger(lifecycles) || lifecycles < 1) {
    throw new Error("--lifecycles: expected a whole number from 1 on");
  }
  const seed = values.seed ?? new Date().toISOString();
  return {
    lifecycles,
    seed,
    strikes: values.strikes,
    page: values["write-page"],
    json: values.json,
  };
}

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

async function explain({ failed }: ManyHistories): Promise<void> {
  if (failed === null) return;
  const smallest = await shrink(failed);
  say(`An invariant broke. Smallest history found; keep it in test/simulation/regressions.json:`);
  const { seed, agents, rates } = smallest;
  say(JSON.stringify({ seed, agents, rates }));
  for (const { invariant, what } of smallest.violations) say(`  invariant ${invariant}: ${what}`);
}

async function main(): Promise<number> {
  let options: ReturnType<typeof optionsOf>;
  try {
    options = optionsOf(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`simulate: ${error instanceof Error ? error.message : ""}\n${USAGE}\n`);
    return 64;
  }
  // Told to stop, it ends with the history under way and reports what it has done.
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
  let told = 0;
  const result = await runMany(
    options.seed,
    options.lifecycles,
    (done) => {
      if (done - told < PROGRESS_EVERY) return;
      told = done;
      process.stderr.write(`  … ${done} lifecycles\n`);
    },
    stop.signal,
  );
  await explain(result);
  const { histories, lifecycles, failed } = result;
  if (options.strikes) {
    for (const [pair, count] of result.strikes.entries()) say(`${pair}: ${count}`);
  }
  if (options.page && failed === null) {
    const day = new Date().toISOString().slice(0, 10);
    const strikes = new Map(result.strikes.entries());
    writeRun({ seed: options.seed, lifecycles, histories, day, strikes });
  }
  say(`${lifecycles} lifecycles in ${histories} histories, seed ${options.seed}`);
  const violations = failed?.violations.length ?? 0;
  if (options.json) say(JSON.stringify({ lifecycles, violations, seed: options.seed }));
  return violations === 0 ? 0 : 1;
}

process.exitCode = await main();
