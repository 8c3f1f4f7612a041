import { earliest, instantMs, type Clock, type InstantMs } from "@mayfly/spec";
import type { Mint } from "./mint-message.ts";
import { isConcurrentChange, PgFailure, PgNotTried, pgFailureOf, SQLSTATE } from "./pg-failure.ts";

export interface Minted {
  readonly oid: number;
  readonly validUntil: InstantMs;
}

/**
 * Sends one batch. `beforeSend` is called when the connection is there and answers which mints are
 * still to go; with none it sends nothing. Throws {@link PgFailure} for the batch as a whole.
 */
export type SendBatch = (
  beforeSend: () => readonly Mint[],
  notAfter: InstantMs,
) => Promise<ReadonlyMap<string, Minted>>;

interface Waiting {
  readonly mint: Mint;
  readonly signal: AbortSignal;
  readonly resolve: (minted: Minted) => void;
  readonly reject: (failure: PgFailure) => void;
  sent: boolean;
  settled: boolean;
}

/** Of 20 to 64 roles in a transaction each costs a tenth of one alone; more only adds latency. */
const BATCH_MAX = 64;
/** At 500 mints a second (SCRAM with 4096 rounds) two seconds' worth. */
const QUEUE_MAX = 1_000;
const CONCURRENT_CHANGE_TRIES = 3;

/**
 * Collects mints while a batch is under way, and sends them as the next one: no timer, so a lone
 * mint leaves at once. A refused batch has had no effect, so it is halved until only the guilty
 * mint fails; one without an answer is not sent again, ever.
 */
export class MintBatcher {
  readonly #send: SendBatch;
  readonly #clock: Clock;
  readonly #slots: number;
  #isGathering = false;
  #queue: Waiting[] = [];
  #busy = 0;

  constructor(send: SendBatch, clock: Clock, slots: number) {
    this.#send = send;
    this.#clock = clock;
    this.#slots = slots;
  }

  mint(mint: Mint, signal: AbortSignal): Promise<Minted> {
    if (signal.aborted) return Promise.reject(new PgNotTried("aborted"));
    if (this.#queue.length >= QUEUE_MAX) {
      return Promise.reject(new PgNotTried("too many mints wait for this server"));
    }
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        mint,
        signal,
        sent: false,
        settled: false,
        resolve: (minted) => settle(() => resolve(minted)),
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
      this.#gather();
    });
  }

  #gather(): void {
    if (this.#isGathering || this.#busy >= this.#slots) return;
    this.#isGathering = true;
    this.#clock
      .turn()
      .finally(() => {
        this.#isGathering = false;
        this.#flush();
      })
      .catch(() => undefined);
  }

  #flush(): void {
    while (this.#busy < this.#slots) {
      this.#queue = this.#queue.filter(({ settled }) => !settled);
      // What waits is shared by the slots that are free: the server works on each at once.
      const share = Math.ceil(this.#queue.length / (this.#slots - this.#busy));
      const batch = this.#queue.splice(0, Math.min(BATCH_MAX, share));
      if (batch.length === 0) return;
      this.#busy += 1;
      this.#run(batch, CONCURRENT_CHANGE_TRIES)
        .catch((thrown: unknown) => {
          for (const waiting of batch) waiting.reject(pgFailureOf(thrown));
        })
        .finally(() => {
          this.#busy -= 1;
          this.#gather();
        })
        .catch(() => undefined);
    }
  }

  async #run(batch: readonly Waiting[], tries: number): Promise<void> {
    const open = batch.filter((waiting) => this.#stillToGo(waiting));
    const first = open[0];
    if (first === undefined) return;
    const notAfter = earliest(first.mint.issueBy, ...open.map(({ mint }) => mint.issueBy));
    let sent: readonly Waiting[] = [];
    const beforeSend = (): readonly Mint[] => {
      sent = open.filter((waiting) => this.#stillToGo(waiting));
      for (const waiting of sent) waiting.sent = true;
      return sent.map(({ mint }) => mint);
    };
    try {
      const minted = await this.#send(beforeSend, notAfter);
      for (const { mint, resolve, reject } of sent) {
        const made = minted.get(mint.name);
        if (made === undefined) reject(new PgFailure("lost", "the server did not name its OID"));
        else resolve(made);
      }
    } catch (thrown) {
      await this.#failed(sent.length === 0 ? open : sent, pgFailureOf(thrown), tries);
    }
  }

  async #failed(batch: readonly Waiting[], failure: PgFailure, tries: number): Promise<void> {
    if (failure.kind !== "refused") {
      for (const waiting of batch) waiting.reject(failure);
      return;
    }
    // Refused: the transaction is rolled back, and whoever aborts now had no effect.
    for (const waiting of batch) waiting.sent = false;
    const again = isConcurrentChange(failure) && tries > 1;
    if (batch.length === 1 && !again) {
      batch[0]?.reject(failure);
      return;
    }
    if (again) {
      await this.#run(batch, tries - 1);
      return;
    }
    const half = Math.ceil(batch.length / 2);
    await this.#run(batch.slice(0, half), tries);
    await this.#run(batch.slice(half), tries);
  }

  /** False after telling a mint that is too late so. */
  #stillToGo(waiting: Waiting): boolean {
    if (waiting.settled) return false;
    if (this.#clock.now() <= waiting.mint.issueBy) return true;
    waiting.reject(
      new PgFailure("refused", "not sent: past its deadline in the queue", SQLSTATE.pastDeadline),
    );
    return false;
  }
}

export const mintedOf = (oid: string, untilMs: string): Minted => ({
  oid: Number(oid),
  validUntil: instantMs(Number(untilMs)),
});
