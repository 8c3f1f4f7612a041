import { quantile } from "./interleave.ts";
import type { Answer } from "./load-flows.ts";
import type { LoadResult } from "./load-job.ts";
import type { Moment } from "./slow-moments.ts";

const SAMPLE_MAX = 20;

/** What came of the exchanges of one measured time. */
export interface Tally {
  /** One that was due at that instant is sent now. */
  begun(dueMs: number): void;
  /** One that was due, or begun, at that instant. */
  answered(dueMs: number, answer: Answer): void;
  failed(what: string): void;
  /** The measured time ends now, earlier than was meant. Throws when it has hardly begun. */
  endEarly(why: string): void;
  result(): Omit<LoadResult, "after">;
}

/** Of a refusal's texts, and of what is asked for them: they are for a person. */
const TEXTS_MAX = 1000;
/** What is left of a round that ends early must be at least so much of it. */
const PART_MIN = 1 / 2;

export function openTally(fromMs: number, meantMs: number): Tally {
  let toMs = meantMs;
  let [ok, okInAll, refused, begun, begunLateMs] = [0, 0, 0, 0, 0];
  const errors = new Map<string, number>();
  const refusedFor = new Map<string, number>();
  const latencies: number[] = [];
  const dues: number[] = [];
  const sample: { username: string; password: string }[] = [];
  const sampleTokens: string[] = [];
  const count = (counts: Map<string, number>, what: string): void => {
    counts.set(what, (counts.get(what) ?? 0) + 1);
  };
  const isMeasuredAt = (dueMs: number): boolean => dueMs >= fromMs && dueMs <= toMs;
  /** The first, and then fewer and fewer: a sample of the whole time. */
  const keep = (answer: Answer): void => {
    const kept = Math.max(sample.length, sampleTokens.length);
    if (kept >= SAMPLE_MAX || ok % (1 << kept) !== 0) return;
    const credential = answer.credential();
    if (credential !== null) sample.push(credential);
    const token = answer.token();
    if (token !== null) sampleTokens.push(token);
  };
  return {
    begun: (dueMs) => {
      if (isMeasuredAt(dueMs)) begunLateMs = Math.max(begunLateMs, performance.now() - dueMs);
    },
    failed: (what) => count(errors, what),
    endEarly: (why) => {
      const now = performance.now();
      if (now >= toMs) return;
      if (now - fromMs < (meantMs - fromMs) * PART_MIN) {
        const left = ((meantMs - now) / 1000).toFixed(1);
        throw new Error(`${why}, ${left} s before the end of the round`);
      }
      toMs = now;
    },
    answered: (dueMs, answer) => {
      const doneMs = performance.now();
      const isMeasured = isMeasuredAt(dueMs);
      if (isMeasured) begun++;
      if (answer.status === 200) {
        okInAll++;
        if (!isMeasured) return;
        latencies.push(doneMs - dueMs);
        dues.push(dueMs);
        if (doneMs > toMs) return;
        ok++;
        keep(answer);
      } else if (answer.isRefusal) {
        if (isMeasured && refused++ < TEXTS_MAX) count(refusedFor, whyOf(answer));
      } else if (isMeasured) count(errors, `${answer.status} ${answer.text.slice(0, 200)}`);
    },
    result: () => ({
      ok,
      okInAll,
      begun,
      refused,
      refusedFor: Object.fromEntries(refusedFor),
      begunLateMs,
      perSecond: (ok * 1000) / (toMs - fromMs),
      errors: Object.fromEntries(errors),
      latencyMs: {
        p50: quantile(latencies, 0.5),
        p99: quantile(latencies, 0.99),
        max: quantile(latencies, 1),
      },
      slowest: slowestOf(latencies, dues),
      sample,
      sampleTokens,
    }),
  };
}

function slowestOf(latencies: readonly number[], dues: readonly number[]): readonly Moment[] {
  const least = quantile(latencies, 0.99);
  return latencies.flatMap((ms, index) => {
    const fromMs = performance.timeOrigin + (dues[index] ?? 0);
    return ms >= least ? [{ fromMs, toMs: fromMs + ms }] : [];
  });
}

/** Without what is another's in each answer, its trace. */
const whyOf = ({ status, text }: Answer): string =>
  /"error_description":"([^"]*)"/.exec(text)?.[1] ?? `status ${status}`;
