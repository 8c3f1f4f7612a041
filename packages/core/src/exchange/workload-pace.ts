import { BrokerError, type Clock } from "@mayfly/spec";

export interface WorkloadPaceSettings {
  /** Exchanges of one workload that may begin in a second, on average; 0: as many as it likes. */
  readonly perSecond: number;
  /** Exchanges of one workload under way at once. */
  readonly atOnce: number;
}

/** How often one workload exchanges. Kept by each process for itself; ending never asks it. */
export interface WorkloadPace {
  /**
   * Called once it is known who asks; the answer, when the exchange has ended. Throws
   * `rate_limited`.
   */
  begin(workload: string): () => void;
}

interface Paced {
  left: number;
  atMs: number;
  underWay: number;
}

/** So many seconds' worth may begin at once. */
const BURST_SECONDS = 5;
/** More workloads than that in a few seconds: those that asked longest ago are forgotten. */
const WORKLOADS_MAX = 100_000;

/** So that an agent that runs wild takes no other one's places, nor the backend's. */
export function createWorkloadPace(
  { monotonicMs }: Pick<Clock, "monotonicMs">,
  { perSecond, atOnce }: WorkloadPaceSettings,
): WorkloadPace {
  const burst = perSecond * BURST_SECONDS;
  const workloads = new Map<string, Paced>();
  const pacedOf = (workload: string): Paced => {
    const now = monotonicMs();
    const known = workloads.get(workload) ?? { left: burst, atMs: now, underWay: 0 };
    const earned = ((now - known.atMs) / 1000) * perSecond;
    known.left = Math.min(burst, known.left + earned);
    known.atMs = now;
    // Last in the map is who asked last.
    workloads.delete(workload);
    workloads.set(workload, known);
    return known;
  };
  return {
    begin: (workload) => {
      const paced = pacedOf(workload);
      if (workloads.size > WORKLOADS_MAX) forgetOldest(workloads);
      if (paced.underWay >= atOnce) {
        throw tooOften(`${paced.underWay} exchanges of this workload are under way`, 1);
      }
      if (perSecond > 0) {
        if (paced.left < 1) {
          const waits = Math.ceil((1 - paced.left) / perSecond);
          throw tooOften(`this workload began more than ${perSecond} exchanges a second`, waits);
        }
        paced.left -= 1;
      }
      paced.underWay += 1;
      return () => {
        paced.underWay -= 1;
        if (paced.underWay === 0 && perSecond === 0) workloads.delete(workload);
      };
    },
  };
}

/** Of those with nothing under way: who has would be let in without number. */
function forgetOldest(workloads: Map<string, Paced>): void {
  for (const [workload, { underWay }] of workloads) {
    if (underWay > 0) continue;
    workloads.delete(workload);
    return;
  }
}

const tooOften = (what: string, retryAfterSeconds: number): BrokerError =>
  new BrokerError("rate_limited", `At this broker, ${what}.`, { retryAfterSeconds });
