/**
 * A look that many ask for at once: each gets one that began after it had asked, and at most one is
 * under way.
 */
export class SharedLook<T> {
  readonly #look: () => Promise<T>;
  #underWay: Promise<unknown> = Promise.resolve();
  #next: Promise<T> | null = null;

  constructor(look: () => Promise<T>) {
    this.#look = look;
  }

  run(): Promise<T> {
    if (this.#next !== null) return this.#next;
    const begin = (): Promise<T> => {
      this.#next = null;
      const looking = this.#look();
      this.#underWay = looking.catch(() => undefined);
      return looking;
    };
    this.#next = this.#underWay.then(begin, begin);
    return this.#next;
  }
}
