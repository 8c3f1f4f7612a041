/** The load generator: a process of its own, told by IPC what to do. See `drive-load.ts`. */
import { setTimeout } from "node:timers/promises";
import { openHttpClient } from "./http-client.ts";
import { flowOf, type Answer } from "./load-flows.ts";
import type { LoadAfter, LoadJob, LoadResult } from "./load-job.ts";
import { openTally, type Tally } from "./load-tally.ts";

interface Exchanger {
  /**
   * All that was made ahead was sent. One more would be signed within the round: the generator
   * would be measured, not the other side.
   */
  isSpent(): boolean;
  /** Sends the next request, and tells the tally what came of it. */
  exchange(dueMs: number, tally: Tally): Promise<void>;
}

function openExchanger(job: LoadJob, close: (() => void)[]): Exchanger {
  const flow = flowOf(job);
  const ahead = flow.isMadeAhead ? job.requests : 0;
  const prepared = Array.from({ length: ahead }, (_, index) => flow.prepare(index));
  const client = openHttpClient(job.url, job.clients, job);
  close.push(() => client.close());
  let next = 0;
  const refused: string[] = [];
  const isSpent = (): boolean =>
    flow.isMadeAhead && refused.length === 0 && next >= prepared.length;
  const fresh = (): string => {
    const index = next++;
    return prepared[index] ?? flow.prepare(index);
  };
  return {
    isSpent,
    exchange: async (dueMs, tally) => {
      const request = refused.pop() ?? fresh();
      tally.begun(dueMs);
      try {
        const answer: Answer = await flow.send(client, request);
        if (answer.isRefusal) refused.push(request);
        tally.answered(dueMs, answer);
      } catch (error) {
        tally.failed(error instanceof Error ? error.message : "unknown");
      }
    },
  };
}

const spentOf = ({ requests }: LoadJob): string =>
  `the ${requests} requests that were made ahead (rateMax) are spent`;

async function run(job: LoadJob): Promise<LoadResult> {
  const close: (() => void)[] = [];
  const exchanger = openExchanger(job, close);
  const startMs = performance.now();
  const fromMs = startMs + job.warmSeconds * 1000;
  const toMs = fromMs + job.seconds * 1000;
  const tally = openTally(fromMs, toMs);
  if (job.rate === null) await closedLoop(job, job.clients, toMs, tally, exchanger);
  else await openLoop(job, job.rate, { startMs, toMs }, tally, exchanger);
  const result = tally.result();
  const later = job.after === null ? null : await followed(job, job.after, toMs, exchanger);
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
  job: LoadJob,
  { pauseSeconds, fromSeconds, clients, seconds }: LoadAfter,
  endMs: number,
  exchanger: Exchanger,
): Promise<Omit<LoadResult, "after">> {
  const fromMs = endMs + fromSeconds * 1000;
  const untilMs = fromMs + seconds * 1000;
  const tally = openTally(fromMs, untilMs);
  await setTimeout(endMs + pauseSeconds * 1000 - performance.now());
  await closedLoop(job, clients, untilMs, tally, exchanger);
  return tally.result();
}

async function closedLoop(
  job: LoadJob,
  clients: number,
  untilMs: number,
  tally: Tally,
  exchanger: Exchanger,
): Promise<void> {
  const client = async (): Promise<void> => {
    for (let now = performance.now(); now < untilMs; now = performance.now()) {
      if (exchanger.isSpent()) {
        tally.endEarly(spentOf(job));
        return;
      }
      await exchanger.exchange(now, tally);
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
  job: LoadJob,
  rate: number,
  { startMs, toMs }: Span,
  tally: Tally,
  exchanger: Exchanger,
): Promise<void> {
  const underWay = new Set<Promise<void>>();
  for (let begun = 0; performance.now() < toMs;) {
    const due = Math.floor(((performance.now() - startMs) / 1000) * rate);
    for (; begun < due; begun++) {
      if (exchanger.isSpent()) throw new Error(spentOf(job));
      const dueMs = startMs + (begun / rate) * 1000;
      const work: Promise<void> = exchanger
        .exchange(dueMs, tally)
        .finally(() => underWay.delete(work));
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
