export interface CallBatching<Item, Result> {
  /**
   * One exchange with the upstream for all of them, safe to repeat; it has a bound of its own.
   * Answers for each, or throws for all.
   */
  readonly work: (items: readonly Item[]) => Promise<ReadonlyMap<Item, Result>>;
  /** Of what `work` threw: one of many may be the cause, so halves of it are worth a try. */
  readonly isOfOne: (thrown: unknown) => boolean;
  /**
   * For whoever gives up while it waits, or when it was sent and may have happened; and for whoever
   * comes while too many wait.
   */
  readonly refusal: (why: "given up" | "given up when it was sent" | "too many wait") => Error;
  readonly batchMax: number;
  /** Beyond it, whoever comes is told so at once. */
  readonly waitingMax: number;
  /** Batches under way at once. */
  readonly atOnce: number;
}

/** Thirteen exchanges find one culprit among 64; three of them are found in as many as these. */
const EXCHANGES_MAX = 40;

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (reason: Error) => void;
  isSent: boolean;
  isSettled: boolean;
}

/**
 * Does for many at once what was asked for each: whoever comes while a batch is under way goes with
 * the next. No timer, so a lone one leaves at once.
 *
 * A batch that fails by one of it is halved until only the guilty are left, and these alone are
 * told. Who gives up is told at once, and holds up no other.
 */
export class CallBatcher<Item, Result> {
  readonly #batching: CallBatching<Item, Result>;
  #queue: Waiting<Item, Result>[] = [];
  #underWay = 0;

  constructor(batching: CallBatching<Item, Result>) {
    this.#batching = batching;
  }

  run(item: Item, signal: AbortSignal): Promise<Result> {
    const { refusal, waitingMax } = this.#batching;
    if (signal.aborted) return Promise.reject(refusal("given up"));
    if (this.#queue.length >= waitingMax) return Promise.reject(refusal("too many wait"));
    return new Promise((resolve, reject) => {
      const settle = (tell: () => void): void => {
        if (waiting.isSettled) return;
        waiting.isSettled = true;
        signal.removeEventListener("abort", giveUp);
        tell();
      };
      const giveUp = (): void =>
        settle(() => reject(refusal(waiting.isSent ? "given up when it was sent" : "given up")));
      const waiting: Waiting<Item, Result> = {
        item,
        resolve: (result) => settle(() => resolve(result)),
        reject: (reason) => settle(() => reject(reason)),
        isSent: false,
        isSettled: false,
      };
      signal.addEventListener("abort", giveUp, { once: true });
      this.#queue.push(waiting);
      this.#flush();
    });
  }

  #flush(): void {
    const { atOnce, batchMax } = this.#batching;
    while (this.#underWay < atOnce) {
      this.#queue = this.#queue.filter(({ isSettled }) => !isSettled);
      const batch = this.#queue.splice(0, batchMax);
      if (batch.length === 0) return;
      this.#underWay++;
      this.#run(batch, { left: EXCHANGES_MAX })
        .catch((thrown: unknown) => {
          for (const waiting of batch) waiting.reject(errorOf(thrown));
        })
        .finally(() => {
          this.#underWay--;
          this.#flush();
        })
        .catch(() => undefined);
    }
  }

  async #run(batch: readonly Waiting<Item, Result>[], exchanges: { left: number }): Promise<void> {
    const open = batch.filter(({ isSettled }) => !isSettled);
    if (open.length === 0) return;
    exchanges.left--;
    for (const waiting of open) waiting.isSent = true;
    try {
      const results = await this.#batching.work(open.map(({ item }) => item));
      for (const { item, resolve, reject } of open) {
        const result = results.get(item);
        if (result === undefined) reject(new Error("a batch answered nothing for one of it"));
        else resolve(result);
      }
    } catch (thrown) {
      await this.#failed(open, thrown, exchanges);
    }
  }

  async #failed(
    batch: readonly Waiting<Item, Result>[],
    thrown: unknown,
    exchanges: { left: number },
  ): Promise<void> {
    const half = Math.ceil(batch.length / 2);
    const isDivided = batch.length > 1 && this.#batching.isOfOne(thrown);
    for (const part of isDivided ? [batch.slice(0, half), batch.slice(half)] : []) {
      if (exchanges.left > 0) await this.#run(part, exchanges);
    }
    // All, or those for whom no exchange was left: their next attempt comes at a time of its own.
    for (const waiting of batch) waiting.reject(errorOf(thrown));
  }
}

const errorOf = (thrown: unknown): Error =>
  thrown instanceof Error ? thrown : new Error("a batch failed", { cause: thrown });
