/** The load generator: a process of its own, told by IPC what to do. See `drive-load.ts`. */
import { Pool } from "undici";
import { quantile } from "./interleave.ts";
import { flowOf, type Answer } from "./load-flows.ts";
import type { LoadJob, LoadResult } from "./load-job.ts";

const SAMPLE_MAX = 20;

interface Tally {
  ok: number;
  okInAll: number;
  refused: number;
  preparedLate: number;
  readonly errors: Map<string, number>;
  readonly latencies: number[];
  readonly sample: { username: string; password: string }[];
  readonly sampleTokens: string[];
}

async function run(job: LoadJob): Promise<LoadResult> {
  const flow = flowOf(job);
  const prepared = Array.from({ length: job.requests }, (_, index) => flow.prepare(index));
  const pool = new Pool(job.url, { connections: job.clients, pipelining: 1 });
  const tally: Tally = {
    ok: 0,
    okInAll: 0,
    refused: 0,
    preparedLate: 0,
    errors: new Map(),
    latencies: [],
    sample: [],
    sampleTokens: [],
  };
  const startMs = performance.now();
  const from = startMs + job.warmSeconds * 1000;
  const to = from + job.seconds * 1000;
  let next = 0;
  const one = (): Promise<void> => {
    const index = next++;
    const ready = prepared[index];
    if (ready === undefined) tally.preparedLate++;
    return exchange(() => flow.send(pool, ready ?? flow.prepare(index)), { from, to, tally });
  };
  const client = async (): Promise<void> => {
    while (performance.now() < to) await one();
  };
  if (job.rate === null) await Promise.all(Array.from({ length: job.clients }, client));
  else await paced(job.rate, startMs, to, one);
  await pool.close();
  return resultOf(job, tally);
}

const resultOf = (job: LoadJob, tally: Tally): LoadResult => ({
  ok: tally.ok,
  okInAll: tally.okInAll,
  perSecond: tally.ok / job.seconds,
  errors: Object.fromEntries(tally.errors),
  refused: tally.refused,
  latencyMs: {
    p50: quantile(tally.latencies, 0.5),
    p99: quantile(tally.latencies, 0.99),
    max: quantile(tally.latencies, 1),
  },
  sample: tally.sample,
  sampleTokens: tally.sampleTokens,
  preparedLate: tally.preparedLate,
});

/** Open loop: begins one when it is due, whether or not the earlier ones were answered. */
async function paced(
  rate: number,
  startMs: number,
  to: number,
  one: () => Promise<void>,
): Promise<void> {
  const underWay = new Set<Promise<void>>();
  for (let begun = 0; performance.now() < to;) {
    const due = Math.floor(((performance.now() - startMs) / 1000) * rate);
    for (; begun < due; begun++) {
      const work: Promise<void> = one().finally(() => underWay.delete(work));
      underWay.add(work);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(underWay);
}

interface Measured {
  readonly from: number;
  readonly to: number;
  readonly tally: Tally;
}

async function exchange(send: () => Promise<Answer>, { from, to, tally }: Measured): Promise<void> {
  const sentMs = performance.now();
  try {
    const answer = await send();
    const doneMs = performance.now();
    const measured = sentMs >= from && doneMs <= to;
    if (answer.status === 200) {
      tally.okInAll++;
      if (!measured) return;
      tally.ok++;
      tally.latencies.push(doneMs - sentMs);
      keep(tally, answer);
    } else if (measured) {
      if (answer.isRefusal) tally.refused++;
      else count(tally, `${answer.status} ${answer.text.slice(0, 200)}`);
    }
  } catch (error) {
    count(tally, error instanceof Error ? error.message : "unknown");
  }
}

const count = ({ errors }: Tally, what: string): void => {
  errors.set(what, (errors.get(what) ?? 0) + 1);
};

/** The first, and then fewer and fewer: a sample of the whole time. */
function keep({ ok, sample, sampleTokens }: Tally, answer: Answer): void {
  const kept = Math.max(sample.length, sampleTokens.length);
  if (kept >= SAMPLE_MAX || ok % (1 << kept) !== 0) return;
  const credential = answer.credential();
  if (credential !== null) sample.push(credential);
  const token = answer.token();
  if (token !== null) sampleTokens.push(token);
}

process.on("message", (job: LoadJob) => {
  run(job).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on("disconnect", () => process.exit(0));
