/**
 * `npm run chaos -- [--kills N] [--seed TEXT] [--json]`: real processes over real servers, killed
 * and frozen at every step until there were N kills, or until Ctrl-C. Exit code 1 when anything
 * leaked.
 */
import { parseArgs } from "node:util";
import { runChaos, type ChaosResult } from "./run-chaos.ts";
import { summaryOf } from "./summary.ts";

const USAGE = "usage: npm run chaos -- [--kills N] [--seed TEXT] [--json]";
const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

function optionsOf(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      kills: { type: "string", default: "1000" },
      seed: { type: "string", default: "chaos" },
      json: { type: "boolean", default: false },
    },
  });
  const kills = Number(values.kills);
  if (!Number.isSafeInteger(kills) || kills < 1) {
    throw new Error("--kills: expected a whole number from 1 on");
  }
  return { kills, seed: values.seed, json: values.json };
}

function tell({ byStep, stops, misfortunes, done, randomKills, findings }: ChaosResult): void {
  const list = (counts: ReadonlyMap<string, number>, before = ""): void => {
    for (const [what, count] of counts) say(`${String(count).padStart(6)}  ${before}${what}`);
  };
  list(byStep, "killed, ");
  list(stops, "stopped and thawed, ");
  list(new Map([["killed at random, not counted", randomKills]]));
  list(misfortunes);
  list(done);
  for (const { words } of findings) say(`  LEAK: ${words}`);
}

async function main(): Promise<number> {
  let options: ReturnType<typeof optionsOf>;
  try {
    options = optionsOf(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`chaos: ${error instanceof Error ? error.message : ""}\n${USAGE}\n`);
    return 64;
  }
  const enough = new AbortController();
  process.once("SIGINT", () => enough.abort());
  const result = await runChaos({
    ...options,
    enough: enough.signal,
    say: (line) => process.stderr.write(`  … ${line}\n`),
  });
  tell(result);
  if (options.json) say(JSON.stringify(summaryOf(result)));
  return result.findings.length === 0 ? 0 : 1;
}

process.exitCode = await main();
