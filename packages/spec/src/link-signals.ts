export interface LinkedSignal extends Disposable {
  /** Aborted with the first of its sources, for that one's reason. */
  readonly signal: AbortSignal;
}

/**
 * A signal that follows several, until it is disposed of. Instead of `AbortSignal.any`, which is
 * dear, and whose signals Node keeps for as long as anybody listens to them: of a call that hangs
 * for ever, that is for ever.
 */
export function linkSignals(...sources: readonly AbortSignal[]): LinkedSignal {
  const linked = new AbortController();
  const abort = (): void => linked.abort(sources.find(({ aborted }) => aborted)?.reason);
  for (const source of sources) source.addEventListener("abort", abort, { once: true });
  if (sources.some(({ aborted }) => aborted)) abort();
  return {
    signal: linked.signal,
    [Symbol.dispose]: () => {
      for (const source of sources) source.removeEventListener("abort", abort);
    },
  };
}
