import { quantile } from "./interleave.ts";
import type { Answer } from "./load-flows.ts";
import type { LoadResult } from "./load-job.ts";

const SAMPLE_MAX = 20;

/** What came of the exchanges of one measured time. */
export interface Tally {
  preparedLate: number;
  /** One that was due, or begun, at that instant. */
  answered(dueMs: number, answer: Answer): void;
  failed(what: string): void;
  result(seconds: number): Omit<LoadResult, "after">;
}

export function openTally(fromMs: number, toMs: number): Tally {
  let [ok, okInAll, refused, begun] = [0, 0, 0, 0];
  const errors = new Map<string, number>();
  const latencies: number[] = [];
  const sample: { username: string; password: string }[] = [];
  const sampleTokens: string[] = [];
  const count = (what: string): void => {
    errors.set(what, (errors.get(what) ?? 0) + 1);
  };
  /** The first, and then fewer and fewer: a sample of the whole time. */
  const keep = (answer: Answer): void => {
    const kept = Math.max(sample.length, sampleTokens.length);
    if (kept >= SAMPLE_MAX || ok % (1 << kept) !== 0) return;
    const credential = answer.credential();
    if (credential !== null) sample.push(credential);
    const token = answer.token();
    if (token !== null) sampleTokens.push(token);
  };
  const tally: Tally = {
    preparedLate: 0,
    failed: count,
    answered: (dueMs, answer) => {
      const doneMs = performance.now();
      const isMeasured = dueMs >= fromMs && dueMs <= toMs;
      if (isMeasured) begun++;
      if (answer.status === 200) {
        okInAll++;
        if (!isMeasured) return;
        latencies.push(doneMs - dueMs);
        if (doneMs > toMs) return;
        ok++;
        keep(answer);
      } else if (answer.isRefusal) {
        if (isMeasured) refused++;
      } else if (isMeasured) count(`${answer.status} ${answer.text.slice(0, 200)}`);
    },
    result: (seconds) => ({
      ok,
      okInAll,
      begun,
      refused,
      perSecond: ok / seconds,
      errors: Object.fromEntries(errors),
      latencyMs: {
        p50: quantile(latencies, 0.5),
        p99: quantile(latencies, 0.99),
        max: quantile(latencies, 1),
      },
      sample,
      sampleTokens,
      preparedLate: tally.preparedLate,
    }),
  };
  return tally;
}
