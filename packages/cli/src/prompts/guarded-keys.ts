import { StringDecoder } from "node:string_decoder";
import { Transform, type TransformCallback } from "node:stream";
import type { KeyFilter } from "./key-filter.ts";

/** A terminal's keys, or a stream that stands for one. */
export interface TerminalInput extends NodeJS.ReadableStream {
  setRawMode?(mode: boolean): unknown;
}

/** The terminal as a prompt sees it for one question: through the filter. */
export class GuardedKeys extends Transform {
  readonly #terminal: TerminalInput;
  readonly #filter: KeyFilter;
  readonly #ended: () => void;
  readonly #decoder = new StringDecoder("utf8");

  /** `ended` is called when no further key comes. */
  constructor(terminal: TerminalInput, filter: KeyFilter, ended: () => void) {
    super();
    this.#terminal = terminal;
    this.#filter = filter;
    this.#ended = ended;
    terminal.pipe(this);
  }

  setRawMode(mode: boolean): this {
    this.#terminal.setRawMode?.(mode);
    return this;
  }

  /** Leaves the terminal as it was found; what is typed from now on is the next reader's. */
  release(): void {
    this.#terminal.unpipe(this);
    this.#terminal.pause();
    this.destroy();
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const keys = this.#filter.pass(this.#decoder.write(chunk));
    if (this.#filter.hasEnded) this.#ended();
    done(null, keys);
  }

  override _flush(done: TransformCallback): void {
    this.#ended();
    done();
  }
}
