/**
 * `npm run simulate -- [--lifecycles N] [--seed S] [--strikes] [--write-page] [--json]`: histories
 * of the real core until there were N lifecycles. One seed is one run, exactly. Exit code 1 when an
 * invariant broke; then the smallest history like it is printed. `--write-page` puts what was hit
 * into docs/invariants.md. Told to stop, it ends with the history under way, and writes no page.
 */
import { countedRun } from "../harness/counted-run.ts";
import { runMany, type ManyHistories } from "./run-many.ts";
import { writeRun } from "./strikes-page.ts";
import { shrink } from "./shrink.ts";

const PROGRESS_EVERY = 10_000;

async function explained({ failed }: ManyHistories): Promise<readonly string[]> {
  if (failed === null) return [];
  const smallest = await shrink(failed);
  const { seed, agents, rates, violations } = smallest;
  return [
    "An invariant broke. Smallest history found; keep it in test/simulation/regressions.json:",
    JSON.stringify({ seed, agents, rates }),
    ...violations.map(({ invariant, what }) => `  invariant ${invariant}: ${what}`),
  ];
}

/** Says how far it is after each so many. */
function everySoMany(progress: (line: string) => void): (done: number) => void {
  let told = 0;
  return (done) => {
    if (done - told < PROGRESS_EVERY) return;
    told = done;
    progress(`${done} lifecycles`);
  };
}

process.exitCode = await countedRun(
  {
    name: "simulate",
    counted: "lifecycles",
    byDefault: 20_000,
    flags: ["strikes", "write-page"],
    about: "Runs simulated histories of the real core, and looks whether an invariant broke.",
  },
  async ({ count, seed, flags, stop, progress }) => {
    const result = await runMany(seed, count, everySoMany(progress), stop);
    const { histories, lifecycles, failed } = result;
    const strikes = new Map(result.strikes.entries());
    if (flags.has("write-page") && failed === null && !stop.aborted) {
      const day = new Date().toISOString().slice(0, 10);
      writeRun({ seed, lifecycles, histories, day, strikes });
    }
    const counted = flags.has("strikes")
      ? [...strikes].map(([pair, times]) => `${pair}: ${times}`)
      : [];
    const violations = failed?.violations.length ?? 0;
    return {
      failed: violations > 0,
      report: [
        ...(await explained(result)),
        ...counted,
        `${lifecycles} lifecycles in ${histories} histories, seed ${seed}`,
      ],
      summary: [{ lifecycles, violations, seed }],
    };
  },
);
