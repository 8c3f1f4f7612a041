import type { Clock } from "@mayfly/spec";
import type { LeaseHandle } from "./lease-mark.ts";
import { PgFailure, PgNotTried, pgFailureOf } from "./pg-failure.ts";

/**
 * Sends one batch as one message. `take` is called when the connection is there and answers what is
 * still to go; with none it sends nothing. Answers what was done or seen, by OID; whoever it says
 * nothing of has to be looked at alone. Throws {@link PgFailure} for the batch as a whole.
 */
export type SendLeases<Result> = (
  take: () => readonly LeaseHandle[],
) => Promise<ReadonlyMap<number, Result>>;

interface Waiting<Result> {
  readonly handle: LeaseHandle;
  readonly signal: AbortSignal;
  /** Null: to be dealt with alone. */
  readonly resolve: (result: Result | null) => void;
  readonly reject: (failure: PgFailure) => void;
  sent: boolean;
  settled: boolean;
}

export interface LeaseBatcherLimits {
  /** Leases in one message: the first ones, and the most that it comes to while they are quick. */
  readonly batchFirst: number;
  readonly batchMax: number;
  /** Beyond it, whoever comes is told so at once. */
  readonly queueMax: number;
  /** Messages under way at once. */
  readonly slots: number;
}

/** A full message that took less is followed by one of twice as many, ... */
const QUICK_MS = 250;
/** ... and whichever took longer by one of half as many, well before the server's time-out. */
const SLOW_MS = 1_000;

/** Seventeen find one culprit among 256; where there are more, what is left goes alone. */
const SENDS_MAX = 20;

/**
 * Collects leases while a batch is under way, and sends them as the next one: no timer, so a lone
 * one leaves at once. For work that may be repeated at will: it never undoes anything for anybody.
 *
 * A refused batch has had no effect and is halved until only the guilty are left; these, and all
 * of a batch whose answer was lost, are handed back to be dealt with alone, so that a hard one
 * delays no other beyond a few short messages.
 */
export class LeaseBatcher<Result> {
  readonly #send: SendLeases<Result>;
  readonly #limits: LeaseBatcherLimits;
  readonly #clock: Clock;
  #queue: Waiting<Result>[] = [];
  #busy = 0;
  /**
   * How many go together next. A role costs a third in a big batch of what it costs in a small one,
   * but on a server that looks at all roles for each (16 and newer, unless for a superuser) a big
   * one would only run into its time-out.
   */
  #size: number;

  constructor(send: SendLeases<Result>, limits: LeaseBatcherLimits, clock: Clock) {
    this.#send = send;
    this.#limits = limits;
    this.#clock = clock;
    this.#size = limits.batchFirst;
  }

  /**
   * What the batch said of it, or null: deal with it alone, for it has had no effect that counts.
   * Rejects with {@link PgFailure}: aborted, too many waiting, or no connection at all.
   */
  run(handle: LeaseHandle, signal: AbortSignal): Promise<Result | null> {
    if (signal.aborted) return Promise.reject(new PgNotTried("aborted"));
    if (this.#queue.length >= this.#limits.queueMax) {
      return Promise.reject(new PgNotTried("too many leases wait for this server"));
    }
    return new Promise((resolve, reject) => {
      const waiting: Waiting<Result> = {
        handle,
        signal,
        sent: false,
        settled: false,
        resolve: (result) => settle(() => resolve(result)),
        reject: (failure) => settle(() => reject(failure)),
      };
      const onAbort = (): void => {
        waiting.reject(waiting.sent ? new PgFailure("lost", "aborted") : new PgNotTried("aborted"));
      };
      const settle = (tell: () => void): void => {
        if (waiting.settled) return;
        waiting.settled = true;
        signal.removeEventListener("abort", onAbort);
        tell();
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#queue.push(waiting);
      this.#flush();
    });
  }

  #flush(): void {
    while (this.#busy < this.#limits.slots) {
      this.#queue = this.#queue.filter(({ settled }) => !settled);
      const batch = this.#queue.splice(0, this.#size);
      if (batch.length === 0) return;
      this.#busy += 1;
      this.#run(batch, { left: SENDS_MAX })
        .catch((thrown: unknown) => {
          for (const waiting of batch) waiting.reject(pgFailureOf(thrown));
        })
        .finally(() => {
          this.#busy -= 1;
          this.#flush();
        })
        .catch(() => undefined);
    }
  }

  async #run(batch: readonly Waiting<Result>[], sends: { left: number }): Promise<void> {
    const open = batch.filter(({ settled }) => !settled);
    if (open.length === 0) return;
    sends.left -= 1;
    let sent: readonly Waiting<Result>[] = [];
    let sentMs = this.#clock.monotonicMs();
    const take = (): readonly LeaseHandle[] => {
      sent = open.filter(({ settled }) => !settled);
      for (const waiting of sent) waiting.sent = true;
      sentMs = this.#clock.monotonicMs();
      return sent.map(({ handle }) => handle);
    };
    try {
      const results = await this.#send(take).finally(() => this.#resize(sent.length, sentMs));
      for (const waiting of sent) waiting.resolve(results.get(waiting.handle.oid) ?? null);
    } catch (thrown) {
      const failure = pgFailureOf(thrown);
      if (failure.kind === "not_sent") {
        for (const waiting of open) waiting.reject(failure);
      } else await this.#failed(sent, failure, sends);
    }
  }

  #resize(sent: number, sentMs: number): void {
    const tookMs = this.#clock.monotonicMs() - sentMs;
    if (tookMs > SLOW_MS) this.#size = Math.max(1, Math.ceil(Math.min(sent, this.#size) / 2));
    else if (tookMs < QUICK_MS && sent >= this.#size) {
      this.#size = Math.min(this.#limits.batchMax, this.#size * 2);
    }
  }

  async #failed(
    batch: readonly Waiting<Result>[],
    failure: PgFailure,
    sends: { left: number },
  ): Promise<void> {
    if (failure.kind === "lost" || batch.length === 1 || sends.left <= 0) {
      for (const waiting of batch) waiting.resolve(null);
      return;
    }
    // Refused: the transaction is rolled back, and whoever aborts now had no effect.
    for (const waiting of batch) waiting.sent = false;
    const half = Math.ceil(batch.length / 2);
    for (const part of [batch.slice(0, half), batch.slice(half)]) {
      if (sends.left > 0) await this.#run(part, sends);
      else for (const waiting of part) waiting.resolve(null);
    }
  }
}
