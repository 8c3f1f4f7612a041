import type { Clock } from "@mayfly/spec";
import { unfinished } from "./redis-failure.ts";

interface Waiting<R> {
  readonly name: string;
  readonly resolve: (result: R) => void;
  readonly reject: (reason: unknown) => void;
}

/** So many users are ended, or looked at, in one exchange with a server. */
const TOGETHER_MAX = 256;
/** A server that hangs is waited for by so many. */
const WAITING_MAX = 4_096;

/**
 * Does for many users at once what was asked for each: whoever comes while one batch is under way
 * goes with the next. A batch that fails fails for each of its names.
 */
export class NameBatcher<R> {
  readonly #work: (names: readonly string[]) => Promise<ReadonlyMap<string, R>>;
  readonly #clock: Clock;
  readonly #waiting: Waiting<R>[] = [];
  #running = false;

  constructor(work: (names: readonly string[]) => Promise<ReadonlyMap<string, R>>, clock: Clock) {
    this.#work = work;
    this.#clock = clock;
  }

  run(name: string): Promise<R> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length >= WAITING_MAX) {
        reject(unfinished("too many leases are waiting for this server", 1));
        return;
      }
      this.#waiting.push({ name, resolve, reject });
      if (!this.#running) this.#drain().catch(reject);
    });
  }

  async #drain(): Promise<void> {
    this.#running = true;
    try {
      while (this.#waiting.length > 0) {
        await this.#clock.turn();
        await this.#runTogether(this.#waiting.splice(0, TOGETHER_MAX));
      }
    } finally {
      this.#running = false;
    }
  }

  async #runTogether(batch: readonly Waiting<R>[]): Promise<void> {
    try {
      const results = await this.#work([...new Set(batch.map(({ name }) => name))]);
      for (const { name, resolve, reject } of batch) {
        const result = results.get(name);
        if (result === undefined) reject(new Error("the batch has no result for this name"));
        else resolve(result);
      }
    } catch (thrown) {
      for (const { reject } of batch) reject(thrown);
    }
  }
}
