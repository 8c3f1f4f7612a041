const SHOWN = "[secret]";

/**
 * Something that must not be printed. Every way to a string shows `[secret]`: `String()`,
 * templates, JSON, `console.log` and the inspectors of Node, Bun and Deno. {@link expose} alone
 * shows it.
 */
export abstract class Hidden<T> {
  /** The value itself. Keep it out of variables that live longer than the call that needs it. */
  abstract expose(): T;
  toString(): string {
    return SHOWN;
  }
  toJSON(): string {
    return SHOWN;
  }
  [Symbol.toPrimitive](): string {
    return SHOWN;
  }
  get [Symbol.toStringTag](): string {
    return "secret";
  }
  /** Node and Bun. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return SHOWN;
  }
  [Symbol.for("Deno.customInspect")](): string {
    return SHOWN;
  }
}

/** Text that must not be printed: a password, a token, a URL with a password in it. */
export class Secret extends Hidden<string> {
  readonly #text: string;
  constructor(text: string) {
    super();
    this.#text = text;
  }
  override expose(): string {
    return this.#text;
  }
}
