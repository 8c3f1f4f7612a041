import type { Clock, Log } from "@mayfly/spec";
import { withDeadline } from "./with-deadline.ts";

/** Work that a request starts and does not wait for: wake-ups, closing of replaced backends. */
export interface Background {
  /** A failure is logged under `what`. Beyond the bound on work under way it is dropped, logged. */
  start(what: string, work: () => Promise<unknown>): void;
  /** Resolves when nothing is under way, or after `seconds`. */
  drain(seconds: number): Promise<void>;
}

const UNDER_WAY_MAX = 10_000;
/** Of the queue: a wake-up that takes longer is worth no more than the sweep. */
const CALL_SECONDS_MAX = 30;

export function createBackground(clock: Clock, log: Log): Background {
  const underWay = new Set<Promise<void>>();
  const never = new AbortController().signal;
  return {
    start: (what, work) => {
      if (underWay.size >= UNDER_WAY_MAX) {
        log.warn("background work dropped: too much is under way", { what });
        return;
      }
      const bounded = withDeadline(
        { clock, seconds: CALL_SECONDS_MAX, signal: never, what },
        async () => work(),
      );
      const tracked: Promise<void> = bounded
        .then(
          () => undefined,
          (error: unknown) => log.warn("background work failed", { what }, error),
        )
        .finally(() => underWay.delete(tracked));
      underWay.add(tracked);
    },
    drain: async (seconds) => {
      const all = Promise.all(underWay);
      try {
        await withDeadline({ clock, seconds, signal: never, what: "drain" }, () => all);
      } catch (error) {
        log.warn("background work was still under way at the end", { left: underWay.size }, error);
      }
    },
  };
}
