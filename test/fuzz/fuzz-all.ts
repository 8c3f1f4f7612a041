import type { Installation } from "../harness/index.ts";
import { createInProcess } from "./in-process.ts";
import { createRealBroker } from "./real-broker.ts";
import { runFuzz, together, type FuzzRun } from "./run-fuzz.ts";
import type { Rights } from "./target.ts";

export interface FuzzAllOptions {
  /** Sent to the application in process, and over sockets to a process of it. */
  readonly inProcess: number;
  readonly overSockets: number;
  readonly seed: string;
  /** For each of the two. Default: however long it takes. */
  readonly withinMs?: number;
  /** Aborted: no more are sent. Default: never. */
  readonly stop?: AbortSignal;
  /** One line for a person who waits. */
  readonly say?: (line: string) => void;
}

/** A new application after so many: it starts with nothing that earlier ones left behind. */
const ROUND = 4_000;

/** Strangers twice as often as administrators, who may do most things anyway. */
const rightsOf = (round: number): Rights => (round % 3 === 2 ? "administrators" : "strangers");

export async function fuzzInProcess(options: FuzzAllOptions): Promise<FuzzRun> {
  const runs: FuzzRun[] = [];
  const endMs = performance.now() + (options.withinMs ?? Number.POSITIVE_INFINITY);
  let left = options.inProcess;
  const stopping = options.stop === undefined ? {} : { stop: options.stop };
  const isOver = (): boolean => performance.now() >= endMs || options.stop?.aborted === true;
  for (let round = 0; left > 0 && !isOver(); round++) {
    const seed = `${options.seed}/${round}`;
    await using target = await createInProcess({ rights: rightsOf(round), seed });
    const withinMs = endMs - performance.now();
    const requests = Math.min(ROUND, left);
    const run = await runFuzz(target, { requests, seed, withinMs, ...stopping });
    runs.push(run);
    left -= run.requests;
    options.say?.(`${options.inProcess - left} requests in process`);
    if (run.found.length > 0) break;
  }
  return together(runs);
}

/** The installation is made for it: it has a worker, and keeps what administrators registered. */
export async function fuzzOverSockets(
  mayfly: Installation,
  options: FuzzAllOptions,
): Promise<FuzzRun> {
  const broker = await mayfly.startBroker();
  await mayfly.register(broker);
  await mayfly.startWorker();
  const runs: FuzzRun[] = [];
  for (const [rights, share] of [
    ["strangers", 0.7],
    ["administrators", 0.3],
  ] as const) {
    await using target = await createRealBroker(mayfly, broker, rights);
    const { withinMs, stop } = options;
    const run = await runFuzz(target, {
      requests: Math.ceil(options.overSockets * share),
      seed: `${options.seed}/${rights}`,
      ...(withinMs === undefined ? {} : { withinMs: withinMs * share }),
      ...(stop === undefined ? {} : { stop }),
    });
    runs.push(run);
    options.say?.(`${run.requests} requests of ${rights} over sockets`);
  }
  return together(runs);
}
