import { runHistory, type History, type HistoryOptions } from "./run-history.ts";

const RUNS_MAX = 60;

/**
 * The smallest history like it that still goes wrong: fewer agents, fewer kinds of faults. What is
 * tried is a different history each time, since the draws shift; any violation counts.
 */
export async function shrink(
  failing: History,
  defect?: HistoryOptions["defect"],
): Promise<History> {
  let smallest = failing;
  let runs = 0;
  const attempt = async (change: Partial<HistoryOptions>): Promise<boolean> => {
    if (runs++ >= RUNS_MAX) return false;
    const { seed, rates, agents } = smallest;
    const options = { seed, rates, agents, ...change };
    const tried = await runHistory(defect === undefined ? options : { ...options, defect });
    if (tried.violations.length > 0) smallest = tried;
    return tried.violations.length > 0;
  };
  while (smallest.agents > 1 && (await attempt({ agents: smallest.agents - 1 })));
  for (const [kind, rate] of Object.entries(smallest.rates)) {
    if (rate > 0) await attempt({ rates: { ...smallest.rates, [kind]: 0 } });
  }
  while (smallest.agents > 1 && (await attempt({ agents: smallest.agents - 1 })));
  return smallest;
}
