import type { Clock } from "@mayfly/spec";
import { LedgerFault } from "@mayfly/postgres/group-commit";

/** Rows by name: held by many for themselves, or by one alone. */
export interface Wanted {
  readonly shared: readonly string[];
  readonly alone: readonly string[];
}

/** A transaction on the model ledger, from its first lock on. */
export interface ModelTransaction {
  /** False: its process is dead. The server has noticed, and its locks are free. */
  isAlive(): boolean;
  /** When its process last said something, in monotonic milliseconds. */
  lastHeardMs: number;
}

/** `lock_timeout` and `idle_in_transaction_session_timeout` of the ledger's connections. */
const LOCK_TIMEOUT_MS = 5_000;
const IDLE_IN_TRANSACTION_MS = 10_000;
const LOOK_AGAIN_MS = 100;

interface Held {
  readonly transaction: ModelTransaction;
  readonly wanted: Wanted;
}

/** The row locks of the model ledger, between processes. */
export class RowLocks {
  readonly #clock: Clock;
  readonly #held = new Set<Held>();
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `SKIP LOCKED`: false when somebody holds one of them. */
  take(transaction: ModelTransaction, wanted: Wanted): boolean {
    const isTaken = [...this.#held].some(
      (held) =>
        held.transaction !== transaction && !this.#isOver(held) && conflicts(held.wanted, wanted),
    );
    if (!isTaken) this.#held.add({ transaction, wanted });
    return !isTaken;
  }

  /** Waits for them, and throws the fault of a lock timeout. */
  async wait(transaction: ModelTransaction, wanted: Wanted): Promise<void> {
    const untilMs = this.#clock.monotonicMs() + LOCK_TIMEOUT_MS;
    while (!this.take(transaction, wanted)) {
      if (this.#clock.monotonicMs() >= untilMs) {
        throw new LedgerFault("55P03", "canceling statement due to lock timeout", null);
      }
      const stop = new AbortController();
      const released = new Promise<void>((resolve) => this.#waiting.add(resolve));
      const again = this.#clock.sleep(LOOK_AGAIN_MS, stop.signal).catch(() => undefined);
      await Promise.race([released, again]);
      stop.abort(RELEASED);
    }
  }

  /** Throws when the server has ended the session because its process said nothing for too long. */
  hear(transaction: ModelTransaction): void {
    const now = this.#clock.monotonicMs();
    if (now - transaction.lastHeardMs > IDLE_IN_TRANSACTION_MS) {
      const message = "terminating connection due to idle-in-transaction timeout";
      throw new LedgerFault("25P03", message, null);
    }
    transaction.lastHeardMs = now;
  }

  release(transaction: ModelTransaction): void {
    for (const held of this.#held) if (held.transaction === transaction) this.#held.delete(held);
    for (const tell of this.#waiting) tell();
    this.#waiting.clear();
  }

  #isOver(held: Held): boolean {
    const { transaction } = held;
    const silentMs = this.#clock.monotonicMs() - transaction.lastHeardMs;
    const isOver = !transaction.isAlive() || silentMs > IDLE_IN_TRANSACTION_MS;
    if (isOver) this.#held.delete(held);
    return isOver;
  }
}

const RELEASED = new Error("a lock was released");

const conflicts = (held: Wanted, wanted: Wanted): boolean =>
  held.alone.some((row) => wanted.alone.includes(row) || wanted.shared.includes(row)) ||
  held.shared.some((row) => wanted.alone.includes(row));
