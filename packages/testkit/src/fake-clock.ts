import { instantMs, type Clock, type InstantMs } from "@mayfly/spec";

/** Time that stands still until a test moves it. */
export interface FakeClock extends Clock {
  /** Moves time on by `ms`, waking sleepers in the order they are due, each at its own instant. */
  advance(ms: number): Promise<void>;
  /** Moves to the next sleeper's instant and wakes it; false if nobody sleeps. */
  advanceToNext(): Promise<boolean>;
  /** Lets what is already possible happen, without moving time. */
  settle(): Promise<void>;
  /** Shifts the wall clock alone, as an operator or NTP does; sleeps and `monotonicMs` do not. */
  jumpWallClock(ms: number): void;
  /** How many sleep now. */
  readonly sleepers: number;
}

interface Sleeper {
  readonly dueMs: number;
  /** Sleepers due at one instant wake in the order they went to sleep. */
  readonly order: number;
  wake(): void;
}

/** 2026-01-01T00:00:00Z: an instant that looks like one in a failed assertion. */
const START_MS = 1_767_225_600_000;

export function createFakeClock(startAt: number = START_MS): FakeClock {
  let monotonicMs = 0;
  let wallOffsetMs = startAt;
  let order = 0;
  const sleepers = new Set<Sleeper>();

  const next = (): Sleeper | undefined => {
    let first: Sleeper | undefined;
    for (const one of sleepers) {
      const isSooner =
        first === undefined ||
        one.dueMs < first.dueMs ||
        (one.dueMs === first.dueMs && one.order < first.order);
      if (isSooner) first = one;
    }
    return first;
  };

  const wakeNext = async (notAfterMs: number): Promise<boolean> => {
    const sleeper = next();
    if (sleeper === undefined || sleeper.dueMs > notAfterMs) return false;
    monotonicMs = Math.max(monotonicMs, sleeper.dueMs);
    sleepers.delete(sleeper);
    sleeper.wake();
    await settle();
    return true;
  };

  return {
    now: (): InstantMs => instantMs(wallOffsetMs + monotonicMs),
    monotonicMs: () => monotonicMs,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted === true) {
          reject(reasonOf(signal));
          return;
        }
        const abort = (): void => {
          sleepers.delete(sleeper);
          reject(reasonOf(signal));
        };
        const sleeper: Sleeper = {
          dueMs: monotonicMs + Math.max(0, ms),
          order: order++,
          wake: () => {
            signal?.removeEventListener("abort", abort);
            resolve();
          },
        };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", abort, { once: true });
      }),
    advance: async (ms) => {
      const untilMs = monotonicMs + ms;
      await settle();
      while (await wakeNext(untilMs));
      monotonicMs = untilMs;
      await settle();
    },
    advanceToNext: async () => {
      await settle();
      return wakeNext(Number.POSITIVE_INFINITY);
    },
    settle,
    jumpWallClock: (ms) => {
      wallOffsetMs += ms;
    },
    get sleepers() {
      return sleepers.size;
    },
  };
}

/** A turn of the event loop runs every microtask first, however long their chain. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function reasonOf(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason;
  return reason instanceof Error ? reason : new Error("aborted", { cause: reason });
}
