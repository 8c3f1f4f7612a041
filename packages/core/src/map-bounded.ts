/**
 * `run` over `items` with at most `limit` under way; results in the order of the items. `run` is
 * to catch its own failures: a rejection ends the whole map while others still run.
 */
export async function mapBounded<T, R>(
  items: readonly T[],
  limit: number,
  run: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  const results = new Map<number, R>();
  const queue = items.entries();
  const work = async (): Promise<void> => {
    for (const [index, item] of queue) results.set(index, await run(item));
  };
  const slots = Math.max(1, Math.min(limit, items.length));
  await Promise.all(Array.from({ length: slots }, work));
  return [...results].toSorted(([a], [b]) => a - b).map(([, result]) => result);
}
