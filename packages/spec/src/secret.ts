/** Why a secret leaves its wrapper. A literal, so that every exit can be found and counted. */
export type ExposeReason =
  /** Into the reply to the agent that it was minted for. */
  | "reply"
  /** Into a call to the backend, the issuer or the queue that needs it. */
  | "upstream"
  /** Into the sealer, to be stored encrypted. */
  | "seal"
  /** Into a signature, a verification or a keyed hash. */
  | "crypto"
  /** Onto the operator's terminal, once (the bootstrap administrator token). */
  | "print-once";

const SHOWN = "[secret]";

/**
 * Text that must never reach a log, an error, a trace or a row in the clear.
 *
 * A type rather than a redaction list: JSON, string templates and `util.inspect` all show
 * `[secret]`, so a forgotten path leaks nothing.
 */
export class Secret {
  readonly #text: string;
  private constructor(text: string) {
    this.#text = text;
  }
  static of(text: string): Secret {
    return new Secret(text);
  }
  /** The only way out. */
  expose(_reason: ExposeReason): string {
    return this.#text;
  }
  toJSON(): typeof SHOWN {
    return SHOWN;
  }
  toString(): typeof SHOWN {
    return SHOWN;
  }
  [Symbol.for("nodejs.util.inspect.custom")](): typeof SHOWN {
    return SHOWN;
  }
}
