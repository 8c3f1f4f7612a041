import type postgres from "postgres";

/** Settings of a server that can be asked how it carried a statement out. */
export const TELLS_PLANS = { logging_collector: "on" } as const;

const LINES_MAX = 6;
const CHARACTERS_MAX = 110;

/**
 * How the server carried the slowest statement of `work` out, on a server with {@link TELLS_PLANS}
 * and by its superuser. `work` has to connect anew: a connection of before tells nothing.
 */
export async function slowestPlan(
  superuser: postgres.Sql,
  database: string,
  work: () => Promise<void>,
): Promise<readonly string[]> {
  const set = async (assignments: readonly string[]): Promise<void> => {
    for (const one of assignments) {
      await superuser.unsafe(`ALTER DATABASE ${database} ${one}`);
    }
  };
  await set([
    "SET session_preload_libraries = 'auto_explain'",
    "SET auto_explain.log_min_duration = 0",
    "SET auto_explain.log_analyze = on",
  ]);
  try {
    const [file] = await superuser<{ size: string }[]>`
      SELECT size::text FROM pg_stat_file(pg_current_logfile())`;
    await work();
    const [told] = await superuser<{ log: string }[]>`
      SELECT pg_read_file(pg_current_logfile(), ${file?.size ?? "0"}::bigint, 100000000) AS log`;
    return slowestOf(told?.log ?? "");
  } finally {
    await set(["RESET ALL"]);
  }
}

function slowestOf(log: string): readonly string[] {
  const plans = log.split(/^(?=\S+ \S+ \S+ \[)/m).flatMap((entry) => {
    const ms = /duration: ([\d.]+) ms {2}plan:/.exec(entry)?.[1];
    return ms === undefined ? [] : [{ ms: Number(ms), entry }];
  });
  const [slowest] = plans.toSorted((a, b) => b.ms - a.ms);
  if (slowest === undefined) return [];
  const nodes = slowest.entry.split("\n").filter((line) => line.includes("(actual time="));
  const dearest = nodes
    .map((line) => ({ line, ms: Number(/actual time=[\d.]+\.\.([\d.]+)/.exec(line)?.[1]) }))
    .toSorted((a, b) => b.ms - a.ms)
    .slice(0, LINES_MAX)
    .map(({ line }) => `\`${line.replace(/\s+/g, " ").trim().slice(0, CHARACTERS_MAX)}\``);
  return [`the server took ${slowest.ms.toFixed(2)} ms of the slowest`, ...dearest];
}
