import type { ChaosResult } from "./run-chaos.ts";

/** The one line of `--json`. What it has no count for still makes the run fail. */
export function summaryOf({ kills, findings }: Pick<ChaosResult, "kills" | "findings">) {
  const counted = (kind: string): number => findings.filter((one) => one.kind === kind).length;
  return {
    kills,
    orphans: counted("orphan"),
    live_expired: counted("live_expired"),
    double_mints: counted("double_mint"),
  };
}
