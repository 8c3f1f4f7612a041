import type { Clock } from "@mayfly/spec";

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
