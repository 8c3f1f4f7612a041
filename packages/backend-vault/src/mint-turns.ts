import { notSent } from "@mayfly/backend-kit";

/** Of mints that wait for their turn; more are turned away at once. */
const WAITING_MAX = 4_096;

/**
 * Mints begin in the order of asking, so many at a time, and each goes through all of its steps:
 * where every step waited behind all others' first ones, a wrapped answer would be too old before
 * anybody unwraps it.
 */
export class MintTurns {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** Rejects, with an effect of none, when the signal comes first or too many wait. */
  async run<T>(signal: AbortSignal, mint: () => Promise<T>): Promise<T> {
    await this.#take(signal);
    try {
      return await mint();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }

  #take(signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#waiting.length >= WAITING_MAX) return Promise.reject(held());
    if (this.#free > 0) {
      this.#free--;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(wake), 1);
        reject(held());
      };
      const wake = (): void => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      signal.addEventListener("abort", leave, { once: true });
      this.#waiting.push(wake);
    });
  }
}

const held = (): Error => notSent("Vault, issue: other mints were under way; nothing was sent");
