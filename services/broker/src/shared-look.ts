import type { Clock } from "@mayfly/spec";

/**
 * One look for all who ask at once. Who asks while one is under way waits for the next: an answer
 * is never older than its question, and however many ask, one look runs and one waits.
 */
export function sharedLook<T>(look: () => Promise<T>): () => Promise<T> {
  let underWay: Promise<unknown> = Promise.resolve();
  let next: Promise<T> | null = null;
  return () => {
    next ??= begunAfter(underWay, () => {
      next = null;
      const looking = look();
      underWay = looking.catch(() => undefined);
      return looking;
    });
    return next;
  };
}

async function begunAfter<T>(earlier: Promise<unknown>, begin: () => Promise<T>): Promise<T> {
  await earlier;
  return begin();
}

/** One look for all who ask within `freshMs` of its beginning, or while it is under way. */
export function recentLook<T>(
  clock: Clock,
  freshMs: number,
  look: () => Promise<T>,
): () => Promise<T> {
  let latest: { readonly answer: Promise<T>; readonly begunAt: number; ended: boolean } | null =
    null;
  return () => {
    const now = clock.now();
    if (latest !== null && (!latest.ended || now - latest.begunAt < freshMs)) return latest.answer;
    const begun = { answer: look(), begunAt: now, ended: false };
    const end = (): void => {
      begun.ended = true;
    };
    begun.answer.then(end, end);
    latest = begun;
    return begun.answer;
  };
}
