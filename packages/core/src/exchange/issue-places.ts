import { BackendError, durationSeconds, type BackendId, type Clock } from "@mayfly/spec";

/** Mints under way at one backend. A broker takes more exchanges than that at once. */
export const PLACES_MAX = 288;
/** Mints under way at a backend that is silent. */
export const PLACES_MAX_OF_SILENT = 32;
/** A backend is silent when it has answered nobody within this time for so long. */
export const SILENT_MS = 2_000;

/**
 * How many mints may wait for one backend, so that one that hangs leaves places to the others.
 * Kept by each process for itself. Ending never asks it.
 */
export interface IssuePlaces {
  /** Throws {@link BackendError}, with effect `none`, when there are too many. */
  check(id: BackendId): void;
  /** Counts `mint` as under way until it has settled. All of a burst that passed may begin. */
  run<T>(id: BackendId, mint: () => Promise<T>): Promise<T>;
}

interface Waiting {
  underWay: number;
  /** When the last one was answered that did not wait for long; before, when the first began. */
  answeredMs: number;
}

export function createIssuePlaces({ monotonicMs }: Pick<Clock, "monotonicMs">): IssuePlaces {
  const backends = new Map<BackendId, Waiting>();
  return {
    check: (id) => {
      const waiting = backends.get(id);
      if (waiting === undefined) return;
      const isSilent = monotonicMs() - waiting.answeredMs >= SILENT_MS;
      const most = isSilent ? PLACES_MAX_OF_SILENT : PLACES_MAX;
      if (waiting.underWay >= most) throw tooMany(id, waiting.underWay);
    },
    run: async (id, mint) => {
      const beganMs = monotonicMs();
      const waiting = backends.get(id) ?? { underWay: 0, answeredMs: beganMs };
      backends.set(id, waiting);
      waiting.underWay += 1;
      try {
        return await mint();
      } finally {
        const now = monotonicMs();
        if (now - beganMs < SILENT_MS) waiting.answeredMs = now;
        waiting.underWay -= 1;
        if (waiting.underWay === 0) backends.delete(id);
      }
    },
  };
}

const tooMany = (id: BackendId, underWay: number): BackendError =>
  new BackendError(`${id}: ${underWay} mints wait for its answer already; nothing was sent`, {
    effect: "none",
    retry: { kind: "after", seconds: durationSeconds(1) },
    public: { hint: "It is slow or does not answer. Try again after the Retry-After time." },
  });
