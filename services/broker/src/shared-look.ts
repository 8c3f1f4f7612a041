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
