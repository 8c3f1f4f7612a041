import type { BackendId, Clock } from "@mayfly/spec";

/** A pass once more, some time after one that an alarm woke. */
export interface SecondLooks {
  /** One that begins half a second after this call, or up to a whole one, for all who ask. */
  ask(backendId: BackendId): void;
  /** Resolves when none is awaited or under way: the signal ends those that are awaited. */
  ended(): Promise<void>;
}

/**
 * An alarm rings by the clocks of broker and worker, and what is due is due by the ledger's. Where
 * that is behind by some milliseconds, as clocks of two machines are, the alarm's pass comes too
 * early for its lease. Without a second look the end would wait for the next sweep; where clocks
 * are farther apart, it does.
 */
const AFTER_MS = 500;

/** At most two a second for each backend, however many alarms ring. */
export function createSecondLooks(
  clock: Pick<Clock, "sleep">,
  signal: AbortSignal,
  look: (backendId: BackendId) => Promise<void>,
): SecondLooks {
  /** With whether somebody asked since the wait began. */
  const awaited = new Map<BackendId, { again: boolean }>();
  const running = new Set<Promise<void>>();
  const lookLater = async (backendId: BackendId, asked: { again: boolean }): Promise<void> => {
    do {
      asked.again = false;
      await clock.sleep(AFTER_MS, signal);
      await look(backendId);
    } while (asked.again);
  };
  return {
    ask: (backendId) => {
      if (signal.aborted) return;
      const known = awaited.get(backendId);
      if (known !== undefined) {
        known.again = true;
        return;
      }
      const asked = { again: false };
      awaited.set(backendId, asked);
      const over = (): void => {
        awaited.delete(backendId);
        running.delete(run);
      };
      // Nothing but the signal breaks it off: a look does not throw.
      const run: Promise<void> = lookLater(backendId, asked).then(over, over);
      running.add(run);
    },
    ended: async () => {
      await Promise.all(running);
    },
  };
}
