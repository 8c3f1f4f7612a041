/** With fewer under way, what is done is not the most that can be. */
const UNDER_WAY_MIN = 48;
/** So long they have to be, since what is done together ends together. */
const RUN_MS_MIN = 400;
/** A pace that no queue has confirmed for so long is known no more: the backend may be well. */
const PACE_KNOWN_MS = 60_000;
/**
 * A higher pace is followed by this part of the way, a lower one by less: a while in which others
 * had the cores says less of what can be done than one without.
 */
const FOLLOWED = { up: 1 / 2, down: 1 / 4 } as const;

/** How many are answered while many wait. */
export interface Pace {
  /** One was answered, and so many are left. */
  ended(now: number, underWay: number): void;
  /** In a millisecond; null before many waited, and long after. */
  perMs(now: number): number | null;
}

/** `pauseMs`: while none is answered for so long, it is not the pace that is seen. */
export function createPace(pauseMs: number): Pace {
  let perMs: number | null = null;
  let seenMs = 0;
  let run = { fromMs: 0, ended: 0 };
  let lastMs = 0;
  return {
    ended: (now, underWay) => {
      // Whole batches, up to the one before this.
      const lasted = lastMs - run.fromMs;
      if (now > lastMs && lasted >= RUN_MS_MIN) {
        const seen = run.ended / lasted;
        const part = perMs === null ? 1 : seen > perMs ? FOLLOWED.up : FOLLOWED.down;
        perMs = (perMs ?? 0) + (seen - (perMs ?? 0)) * part;
        seenMs = now;
        run = { fromMs: lastMs, ended: 0 };
      }
      const isRun = underWay >= UNDER_WAY_MIN && now - lastMs < pauseMs;
      lastMs = now;
      if (isRun) run.ended += 1;
      else run = { fromMs: now, ended: 0 };
    },
    perMs: (now) => (now - seenMs > PACE_KNOWN_MS ? null : perMs),
  };
}
