/** The load generator: a process of its own, told by IPC what to do. See `drive-load.ts`. */
import { setTimeout } from "node:timers/promises";
import { openHttpClient } from "./http-client.ts";
import { flowOf, type Answer } from "./load-flows.ts";
import type { LoadAfter, LoadJob, LoadResult } from "./load-job.ts";
import { openTally, type Tally } from "./load-tally.ts";

/** Sends the next request, and tells the tally what came of it. */
type Exchange = (dueMs: number, tally: Tally) => Promise<void>;

function exchanger(job: LoadJob, close: (() => void)[]): Exchange {
  const flow = flowOf(job);
  const prepared = Array.from({ length: job.requests }, (_, index) => flow.prepare(index));
  const client = openHttpClient(job.url, job.clients, job);
  close.push(() => client.close());
  let next = 0;
  const refused: string[] = [];
  const fresh = (tally: Tally): string => {
    const index = next++;
    const ready = prepared[index];
    if (ready !== undefined) return ready;
    tally.preparedLate++;
    return flow.prepare(index);
  };
  return async (dueMs, tally) => {
    const request = refused.pop() ?? fresh(tally);
    try {
      const answer: Answer = await flow.send(client, request);
      if (answer.isRefusal) refused.push(request);
      tally.answered(dueMs, answer);
    } catch (error) {
      tally.failed(error instanceof Error ? error.message : "unknown");
    }
  };
}

async function run(job: LoadJob): Promise<LoadResult> {
  const close: (() => void)[] = [];
  const exchange = exchanger(job, close);
  const startMs = performance.now();
  const fromMs = startMs + job.warmSeconds * 1000;
  const toMs = fromMs + job.seconds * 1000;
  const tally = openTally(fromMs, toMs);
  if (job.rate === null) await closedLoop(job.clients, toMs, tally, exchange);
  else await openLoop(job.rate, { startMs, toMs }, tally, exchange);
  const { after } = job;
  const result = tally.result(job.seconds);
  const later = after === null ? null : await followed(after, toMs, exchange);
  for (const end of close) end();
  if (later === null) return { ...result, after: null };
  const { perSecond, refused, errors, okInAll } = later;
  return {
    ...result,
    okInAll: result.okInAll + okInAll,
    errors: { ...result.errors, ...errors },
    after: { perSecond, refused },
  };
}

async function followed(
  { pauseSeconds, fromSeconds, clients, seconds }: LoadAfter,
  endMs: number,
  exchange: Exchange,
): Promise<Omit<LoadResult, "after">> {
  const fromMs = endMs + fromSeconds * 1000;
  const untilMs = fromMs + seconds * 1000;
  const tally = openTally(fromMs, untilMs);
  await setTimeout(endMs + pauseSeconds * 1000 - performance.now());
  await closedLoop(clients, untilMs, tally, exchange);
  return tally.result(seconds);
}

async function closedLoop(
  clients: number,
  untilMs: number,
  tally: Tally,
  exchange: Exchange,
): Promise<void> {
  const client = async (): Promise<void> => {
    for (let now = performance.now(); now < untilMs; now = performance.now()) {
      await exchange(now, tally);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
}

interface Span {
  readonly startMs: number;
  readonly toMs: number;
}

/** Begins one when it is due, whether or not the earlier ones were answered. */
async function openLoop(
  rate: number,
  { startMs, toMs }: Span,
  tally: Tally,
  exchange: Exchange,
): Promise<void> {
  const underWay = new Set<Promise<void>>();
  for (let begun = 0; performance.now() < toMs;) {
    const due = Math.floor(((performance.now() - startMs) / 1000) * rate);
    for (; begun < due; begun++) {
      const dueMs = startMs + (begun / rate) * 1000;
      const work: Promise<void> = exchange(dueMs, tally).finally(() => underWay.delete(work));
      underWay.add(work);
    }
    await setTimeout(1);
  }
  await Promise.all(underWay);
}

process.on("message", (job: LoadJob) => {
  run(job).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on("disconnect", () => process.exit(0));
