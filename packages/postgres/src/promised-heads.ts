import type { ExportHeader } from "./export-line.ts";

/** Ranges of one log that broke off, whose ends are still to come. */
export const PROMISED_MAX = 1_000;

interface Place {
  readonly file: string;
  readonly line: number;
}
interface Promised {
  readonly head: string;
  readonly place: Place;
}

/**
 * What the headers of ranges that broke off say of their ends. The ranges that go on with them come
 * by there, so that a header that was altered is found all the same.
 */
export class PromisedHeads {
  /** By the first entry after each. */
  readonly #waiting = new Map<number, readonly Promised[]>();
  #count = 0;

  /** False: there is no room for more. */
  add({ until, head_hash: head }: ExportHeader, place: Place): boolean {
    if (this.#count >= PROMISED_MAX) return false;
    this.#count += 1;
    this.#waiting.set(until, [...(this.#waiting.get(until) ?? []), { head, place }]);
    return true;
  }

  /** Where the header stands that says otherwise of the log before entry `until`; null: none. */
  brokenAt(until: number, chain: string): Place | null {
    const ended = this.#waiting.get(until) ?? [];
    this.#waiting.delete(until);
    this.#count -= ended.length;
    return ended.find(({ head }) => head !== chain)?.place ?? null;
  }
}
