/**
 * `npm run chaos -- [--kills N] [--seed TEXT] [--json]`: real processes over real servers, killed
 * and frozen at every step until there were N kills. Exit code 1 when anything leaked; told to
 * stop, it asks the servers what is there all the same, and ends with 130 or 143.
 */
import { countedRun } from "../harness/index.ts";
import { runChaos, type ChaosResult } from "./run-chaos.ts";
import { summaryOf } from "./summary.ts";

function reportOf(result: ChaosResult): readonly string[] {
  const { kills, byStep, stops, misfortunes, done, randomKills, findings } = result;
  const list = (counts: ReadonlyMap<string, number>, before = ""): readonly string[] =>
    [...counts].map(([what, count]) => `${String(count).padStart(6)}  ${before}${what}`);
  return [
    ...list(byStep, "killed, "),
    ...list(stops, "stopped and thawed, "),
    ...list(new Map([["killed at random, not counted", randomKills]])),
    ...list(misfortunes),
    ...list(done),
    ...findings.map(({ words }) => `  LEAK: ${words}`),
    `${kills} kills`,
  ];
}

process.exitCode = await countedRun(
  {
    name: "chaos",
    counted: "kills",
    byDefault: 1000,
    seed: "chaos",
    about: "Kills and freezes real processes at every step, and looks for what leaked.",
  },
  async ({ count, seed, stop, progress }) => {
    const result = await runChaos({ kills: count, seed, enough: stop, say: progress });
    return {
      failed: result.findings.length > 0,
      report: reportOf(result),
      summary: [summaryOf(result)],
    };
  },
);
