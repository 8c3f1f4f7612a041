import { BrokerError, unreachable } from "@mayfly/spec";
import { faultKind, faultOf, toBrokerError } from "./faults.ts";
import { createLanes } from "./lanes.ts";
import { withinCall, withRetries, type RetryPorts } from "./retry.ts";

/** What became of one request of a batch. */
export type BatchResult<Result> =
  | { readonly kind: "done"; readonly result: Result }
  | { readonly kind: "refused"; readonly error: BrokerError }
  /** Somebody holds a lock that it needs: run it alone, where waiting holds up nobody. */
  | { readonly kind: "alone" };

export interface Stage<Request, Result> {
  /** For the error text only. */
  readonly name: string;
  /**
   * One transaction for all of them; answers in their order. With `mode` `"batch"` it waits for no
   * lock that a task or lease is held by, and says `alone` instead.
   */
  run(
    requests: readonly Request[],
    mode: "batch" | "alone",
    /** Aborted when the callers were told that the ledger is unavailable: write nothing then. */
    signal: AbortSignal,
  ): Promise<readonly BatchResult<Result>[]>;
  /** Two requests that share a key never meet in one batch. */
  keys(request: Request): readonly string[];
  /**
   * Whose a request is: it never waits for a batch that is in flight for somebody else, and a batch
   * has room for each before it has more for one. Requests that share a key are of one lane.
   * Absent: all are of one.
   */
  lane?(request: Request): string;
  /** How much of a batch it is, of {@link CommitterLimits.batchMax}; absent: 1. */
  size?(request: Request): number;
}

export interface CommitterLimits {
  readonly batchMax: number;
  /**
   * Batches of a lane in flight beside its first one, each begun only when a whole one waits;
   * default 0. While the server writes one, we make the next: a crowd is not written in turns.
   */
  readonly besidesMax?: number;
  /** Beyond it, of its own lane, a request is answered `busy` at once. */
  readonly queueMax: number;
  readonly aloneMax: number;
  /** Batches in flight, for all lanes; default 4. */
  readonly batchesMax?: number;
}
export const COMMITTER_LIMITS: CommitterLimits = { batchMax: 256, queueMax: 4096, aloneMax: 4 };
const BATCHES_MAX = 4;
/** Of reservations; of the connections the other stages, and what waits alone, have the rest. */
export const RESERVE_BESIDES_MAX = 1;

export interface Committer<Request, Result> {
  submit(request: Request): Promise<Result>;
  /** Resolves when nothing is under way any more. */
  idle(): Promise<void>;
}

interface Waiting<Request, Result> {
  readonly request: Request;
  resolve(result: Result): void;
  reject(error: BrokerError): void;
}

/**
 * Group commit: one batch of a lane in flight, and whatever arrives meanwhile is the next one,
 * which waits for it unless it is a whole one and the limits allow that. No timer: a lone request
 * goes at once. A request that fails never fails another one: a batch that hits a bad value, a
 * lock or a deadlock is divided until only the culprit is left.
 */
export function createCommitter<Request, Result>(
  ports: RetryPorts,
  stage: Stage<Request, Result>,
  limits: CommitterLimits = COMMITTER_LIMITS,
): Committer<Request, Result> {
  type Entry = Waiting<Request, Result>;
  const laneOf = ({ request }: Entry): string => stage.lane?.(request) ?? "";
  const queue = createLanes<Entry>({
    laneOf,
    sizeOf: ({ request }) => stage.size?.(request) ?? 1,
    max: limits.batchMax,
    besides: limits.besidesMax ?? 0,
  });
  const alone: Entry[] = [];
  const batches = createPlaces(limits.batchesMax ?? BATCHES_MAX);
  const loners = createPlaces(limits.aloneMax);
  let collecting = false;
  const putOff = (entries: readonly Entry[]): void => {
    alone.push(...entries);
    pump();
  };
  const pump = (): void => {
    if (!collecting && batches.hasRoom() && queue.hasOpen()) {
      collecting = true;
      batches.start(async () => {
        // The requests of one turn of the event loop share a commit.
        await ports.clock.turn();
        collecting = false;
        const batch = queue.take((entry) => stage.keys(entry.request));
        pump();
        await runBatch(ports, stage, batch.entries, putOff).finally(() => batch.release());
      }, pump);
    }
    while (alone.length > 0 && loners.hasRoom()) {
      const next = alone.shift();
      if (next !== undefined) loners.start(() => runAlone(ports, stage, next), pump);
    }
  };
  return {
    submit: (request) => {
      return new Promise<Result>((resolve, reject) => {
        const entry: Entry = { request, resolve, reject };
        const putOff = alone.filter((each) => laneOf(each) === laneOf(entry)).length;
        if (queue.sizeBeside(entry) + putOff >= limits.queueMax) {
          const message = `The ledger's queue for ${stage.name} is full.`;
          reject(new BrokerError("busy", message, { retryAfterSeconds: 1 }));
          return;
        }
        queue.add(entry);
        pump();
      });
    },
    idle: async () => {
      while (queue.size() + alone.length + batches.underWay() + loners.underWay() > 0) {
        await Promise.all([batches.idle(), loners.idle()]);
      }
    },
  };
}

/** At most `max` pieces of work at once; what does not fit is not started. */
function createPlaces(max: number) {
  const running = new Set<Promise<void>>();
  return {
    hasRoom: (): boolean => running.size < max,
    underWay: (): number => running.size,
    idle: async (): Promise<void> => {
      await Promise.allSettled(running);
    },
    start: (work: () => Promise<void>, then: () => void): void => {
      if (running.size >= max) return;
      const run: Promise<void> = work().finally(() => {
        running.delete(run);
        then();
      });
      running.add(run);
    },
  };
}

/** Settles each entry, or hands it to `putOff`; never throws. */
async function runBatch<Request, Result>(
  ports: RetryPorts,
  stage: Stage<Request, Result>,
  batch: readonly Waiting<Request, Result>[],
  putOff: (entries: readonly Waiting<Request, Result>[]) => void,
): Promise<void> {
  if (batch.length === 0) return;
  let results: readonly BatchResult<Result>[];
  try {
    const requests = batch.map((entry) => entry.request);
    results = await withinCall(ports, (signal) => stage.run(requests, "batch", signal));
  } catch (error) {
    const fault = faultOf(error);
    const kind = fault === null ? "defect" : faultKind(fault);
    if (kind === "defect" || kind === "unavailable" || kind === "forbidden") {
      for (const entry of batch) entry.reject(toBrokerError(error, ports.databaseRole));
      return;
    }
    if (batch.length === 1) {
      putOff(batch);
      return;
    }
    if (kind === "locked") {
      // In a batch hardly anything but a key is ever waited for: put off whoever brought one.
      const keyed = batch.filter((entry) => stage.keys(entry.request).length > 0);
      if (keyed.length < batch.length) {
        putOff(keyed);
        const rest = batch.filter((entry) => stage.keys(entry.request).length === 0);
        await runBatch(ports, stage, rest, putOff);
        return;
      }
    }
    const middle = Math.ceil(batch.length / 2);
    await runBatch(ports, stage, batch.slice(0, middle), putOff);
    await runBatch(ports, stage, batch.slice(middle), putOff);
    return;
  }
  if (results.some(({ kind }) => kind === "done")) ports.refusals?.committed();
  putOff(batch.filter((entry, index) => !settle(stage, entry, results[index])));
}

async function runAlone<Request, Result>(
  ports: RetryPorts,
  stage: Stage<Request, Result>,
  entry: Waiting<Request, Result>,
): Promise<void> {
  try {
    const [result] = await withRetries(ports, (signal) =>
      stage.run([entry.request], "alone", signal),
    );
    if (result?.kind === "done") ports.refusals?.committed();
    if (!settle(stage, entry, result)) {
      entry.reject(new BrokerError("internal", `The ledger put off one of its ${stage.name}.`));
    }
  } catch (error) {
    entry.reject(toBrokerError(error));
  }
}

/** False: it has to run alone. */
function settle<Request, Result>(
  stage: Stage<Request, Result>,
  entry: Waiting<Request, Result>,
  result: BatchResult<Result> | undefined,
): boolean {
  if (result === undefined) {
    entry.reject(new BrokerError("internal", `The ledger's ${stage.name} gave no answer.`));
    return true;
  }
  switch (result.kind) {
    case "done":
      entry.resolve(result.result);
      return true;
    case "refused":
      entry.reject(result.error);
      return true;
    case "alone":
      return false;
    default:
      return unreachable(result);
  }
}
