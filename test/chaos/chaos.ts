/**
 * `npm run chaos -- [--kills N] [--seed TEXT] [--json]`: real processes over real servers, killed
 * and frozen at every step until there were N kills, or until Ctrl-C. Exit code 1 when anything
 * leaked.
 */
import { countedRun } from "../harness/index.ts";
import { runChaos, type ChaosResult } from "./run-chaos.ts";
import { summaryOf } from "./summary.ts";

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

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

process.exitCode = await countedRun(
  {
    name: "chaos",
    counted: "kills",
    byDefault: 1000,
    seed: "chaos",
    about: "Kills and freezes real processes at every step, and looks for what leaked.",
  },
  async ({ count, seed, json }) => {
    const enough = new AbortController();
    for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => enough.abort());
    const result = await runChaos({
      kills: count,
      seed,
      enough: enough.signal,
      say: (line) => process.stderr.write(`  … ${line}\n`),
    });
    tell(result);
    if (json) say(JSON.stringify(summaryOf(result)));
    return result.findings.length === 0 ? 0 : 1;
  },
);
