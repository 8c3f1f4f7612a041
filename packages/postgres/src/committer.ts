import { BrokerError } from "@mayfly/spec";
import { faultKind, faultOf, toBrokerError } from "./faults.ts";
import { withRetries, type RetryPorts } from "./retry.ts";

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
  ): Promise<readonly BatchResult<Result>[]>;
  /** Two requests that share a key never meet in one batch. */
  keys(request: Request): readonly string[];
}

export interface CommitterLimits {
  readonly batchMax: number;
  /** Beyond it, a request is answered `busy` at once. */
  readonly queueMax: number;
  readonly aloneMax: number;
}
export const COMMITTER_LIMITS: CommitterLimits = { batchMax: 256, queueMax: 4096, aloneMax: 4 };

interface Waiting<Request, Result> {
  readonly request: Request;
  resolve(result: Result): void;
  reject(error: BrokerError): void;
}

export interface Committer<Request, Result> {
  submit(request: Request): Promise<Result>;
  /** Resolves when nothing is under way any more. */
  idle(): Promise<void>;
}

/**
 * Group commit: one batch of a stage in flight, and whatever arrives meanwhile is the next one. No
 * timer: a lone request goes at once. A request that fails never fails another one: a batch that
 * hits a bad value, a lock or a deadlock is halved until only the culprit is left.
 */
export function createCommitter<Request, Result>(
  ports: RetryPorts,
  stage: Stage<Request, Result>,
  limits: CommitterLimits = COMMITTER_LIMITS,
): Committer<Request, Result> {
  type Entry = Waiting<Request, Result>;
  const queue: Entry[] = [];
  const alone: Entry[] = [];
  const underWay = new Set<Promise<void>>();
  let batchInFlight = false;
  let aloneInFlight = 0;

  const track = (work: Promise<void>): void => {
    underWay.add(work);
    const forget = (): void => {
      underWay.delete(work);
    };
    work.then(forget, forget);
  };

  const pump = (): void => {
    if (!batchInFlight && queue.length > 0) {
      batchInFlight = true;
      track(
        flush().finally(() => {
          batchInFlight = false;
          pump();
        }),
      );
    }
    while (aloneInFlight < limits.aloneMax && alone.length > 0) {
      const next = alone.shift();
      if (next === undefined) break;
      aloneInFlight++;
      track(
        runAlone(next).finally(() => {
          aloneInFlight--;
          pump();
        }),
      );
    }
  };

  const flush = async (): Promise<void> => {
    // The requests of one turn of the event loop share a commit.
    await Promise.resolve();
    await runBatch(takeBatch(queue, stage, limits.batchMax));
  };

  const runBatch = async (batch: readonly Entry[]): Promise<void> => {
    try {
      const results = await stage.run(
        batch.map((entry) => entry.request),
        "batch",
      );
      batch.forEach((entry, index) => settle(entry, results[index]));
    } catch (error) {
      await runHalves(batch, error);
    }
  };

  const runHalves = async (batch: readonly Entry[], error: unknown): Promise<void> => {
    const fault = faultOf(error);
    const kind = fault === null ? "defect" : faultKind(fault);
    const divisible = kind === "data" || kind === "locked" || kind === "conflict";
    if (!divisible) {
      for (const entry of batch) entry.reject(toBrokerError(error));
      return;
    }
    if (batch.length === 1) {
      alone.push(...batch);
      return;
    }
    const middle = Math.ceil(batch.length / 2);
    await runBatch(batch.slice(0, middle));
    await runBatch(batch.slice(middle));
  };

  const runAlone = async (entry: Entry): Promise<void> => {
    try {
      const [result] = await withRetries(ports, () => stage.run([entry.request], "alone"));
      if (result?.kind === "alone")
        throw new BrokerError("internal", "A lone request was put off.");
      settle(entry, result);
    } catch (error) {
      entry.reject(toBrokerError(error));
    }
  };

  const settle = (entry: Entry, result: BatchResult<Result> | undefined): void => {
    switch (result?.kind) {
      case "done":
        entry.resolve(result.result);
        return;
      case "refused":
        entry.reject(result.error);
        return;
      case "alone":
        alone.push(entry);
        return;
      case undefined:
        entry.reject(new BrokerError("internal", `The ledger's ${stage.name} gave no answer.`));
    }
  };

  return {
    submit: (request) => {
      if (queue.length + alone.length >= limits.queueMax) {
        const message = `The ledger's queue for ${stage.name} is full.`;
        return Promise.reject(new BrokerError("busy", message, { retryAfterSeconds: 1 }));
      }
      return new Promise<Result>((resolve, reject) => {
        queue.push({ request, resolve, reject });
        pump();
      });
    },
    idle: async () => {
      while (underWay.size > 0) await Promise.allSettled(underWay);
    },
  };
}

/** Takes from the front, leaving behind what shares a key with one already taken. */
function takeBatch<Request, Result>(
  queue: Waiting<Request, Result>[],
  stage: Stage<Request, Result>,
  max: number,
): readonly Waiting<Request, Result>[] {
  const taken: Waiting<Request, Result>[] = [];
  const left: Waiting<Request, Result>[] = [];
  const keys = new Set<string>();
  for (const entry of queue) {
    const own = stage.keys(entry.request);
    if (taken.length < max && !own.some((key) => keys.has(key))) taken.push(entry);
    else left.push(entry);
    for (const key of own) keys.add(key);
  }
  queue.splice(0, queue.length, ...left);
  return taken;
}
