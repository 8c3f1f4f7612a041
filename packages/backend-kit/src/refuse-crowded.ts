import {
  BackendError,
  durationSeconds,
  ENDED_LEASES_MAX,
  type Clock,
  type EndedLeases,
} from "@mayfly/spec";

/** So long one reading answers for all that is issued. */
const FRESH_MS = 1_000;

/**
 * For backends whose ends are a list: ends are never denied, however long it is, so what makes it
 * longer is. Throws {@link BackendError} of effect `none` once {@link ENDED_LEASES_MAX} leases
 * ended and are still listed, or if nobody knows how many.
 */
export function refuseCrowded(
  clock: Clock,
  what: string,
  read: () => Promise<EndedLeases>,
): () => Promise<void> {
  let last: { readonly atMs: number; readonly count: Promise<number> } | null = null;
  const countOf = (): Promise<number> => {
    const atMs = clock.monotonicMs();
    if (last !== null && atMs - last.atMs < FRESH_MS) return last.count;
    const made = { atMs, count: read().then(({ leases }) => leases.length) };
    last = made;
    made.count.catch(() => {
      if (last === made) last = null;
    });
    return made.count;
  };
  return async () => {
    const count = await countOf().catch((cause: unknown) => {
      const why = `${what}: the ledger does not say how many leases ended; nothing was signed`;
      throw refused(why, 1, cause);
    });
    if (count < ENDED_LEASES_MAX) return;
    const why = `${what}: ${ENDED_LEASES_MAX} leases ended and are still listed; nothing was signed`;
    throw refused(why, 10);
  };
}

const refused = (message: string, seconds: number, cause?: unknown): BackendError =>
  new BackendError(message, {
    cause,
    effect: "none",
    retry: { kind: "after", seconds: durationSeconds(seconds) },
  });
