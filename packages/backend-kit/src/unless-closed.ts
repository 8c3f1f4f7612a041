import { notSent } from "./refuse-late.ts";

/** The end of an opened backend: aborted by `close`, and then no operation begins any more. */
export interface Closing {
  readonly signal: AbortSignal;
  close(): void;
  /** The same operation, which rejects (effect `none`) once the backend is closed. */
  readonly unlessClosed: <A extends readonly unknown[], T>(
    work: (...args: A) => Promise<T>,
  ) => (...args: A) => Promise<T>;
}

/** `name` is how messages call the backend: `PostgreSQL`. */
export function createClosing(name: string): Closing {
  const closing = new AbortController();
  return {
    signal: closing.signal,
    close: () => closing.abort(new Error("the backend is closed")),
    unlessClosed:
      (work) =>
      async (...args) => {
        if (closing.signal.aborted)
          throw notSent(`${name}: the backend is closed; nothing was sent`);
        return work(...args);
      },
  };
}
