/**
 * `npm run chaos -- [--kills N] [--seed TEXT] [--json]`: real processes over real servers, killed
 * and frozen at every step until there were N kills. Exit code 1 when anything leaked.
 */
import { parseArgs } from "node:util";
import { runChaos, type ChaosResult } from "./run-chaos.ts";

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

const counted = (leaks: readonly string[], word: RegExp): number =>
  leaks.filter((leak) => word.test(leak)).length;

function tell({ byStep, disturbances, freezes, leases, leaks }: ChaosResult): void {
  const line = (count: number, what: string): void => say(`${String(count).padStart(6)}  ${what}`);
  for (const [step, count] of byStep) line(count, `killed: ${step}`);
  line(freezes, "frozen and thawed");
  for (const [what, count] of disturbances) line(count, what);
  line(leases, "leases");
  for (const leak of leaks) say(`  LEAK: ${leak}`);
}

async function main(): Promise<number> {
  let options: ReturnType<typeof optionsOf>;
  try {
    options = optionsOf(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`chaos: ${error instanceof Error ? error.message : ""}\n${USAGE}\n`);
    return 64;
  }
  const result = await runChaos({
    ...options,
    say: (line) => process.stderr.write(`  … ${line}\n`),
  });
  tell(result);
  const { kills, leaks } = result;
  if (options.json) {
    const orphans = counted(leaks, /has no lease/);
    const liveExpired = counted(leaks, /overdue|outlives/);
    const doubleMints = counted(leaks, /minted \d+ times|activated \d+ times/);
    say(JSON.stringify({ kills, orphans, live_expired: liveExpired, double_mints: doubleMints }));
  }
  return leaks.length === 0 ? 0 : 1;
}

process.exitCode = await main();
