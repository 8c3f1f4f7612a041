/** 128 and the signal's number, as shells say it. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;
export type StopSignal = keyof typeof EXIT_CODES;

/** Where signals come from: `process`, or a test's own. */
export interface SignalSource {
  once(signal: StopSignal, listener: () => void): unknown;
  off(signal: StopSignal, listener: () => void): unknown;
}

/** Whether a command was told to stop before its end. The same signal again ends it at once. */
export interface StopWatch extends Disposable {
  readonly signal: AbortSignal;
  /** Null: nobody told it to. */
  told(): { readonly by: StopSignal; readonly exitCode: number } | null;
}

export function watchStop(source: SignalSource = process): StopWatch {
  const stop = new AbortController();
  let by: StopSignal | null = null;
  const listeners = (["SIGINT", "SIGTERM"] as const).map((name) => {
    const listener = (): void => {
      by ??= name;
      stop.abort(new Error(`stopped by ${name}`));
    };
    source.once(name, listener);
    return { name, listener };
  });
  return {
    signal: stop.signal,
    told: () => (by === null ? null : { by, exitCode: EXIT_CODES[by] }),
    [Symbol.dispose]: () => {
      for (const { name, listener } of listeners) source.off(name, listener);
    },
  };
}
