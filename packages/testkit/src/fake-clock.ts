import { instantMs, type Clock, type InstantMs } from "@mayfly/spec";

/** Time that stands still until a test moves it. */
export interface FakeClock extends Clock {
  /** Moves time on by `ms`, waking sleepers in the order they are due, each at its own instant. */
  advance(ms: number): Promise<void>;
  /**
   * Moves to the next sleeper's instant and wakes it; false if nobody sleeps. Who does nothing
   * between two such calls may say `settled`: then it waits only once.
   */
  advanceToNext(settled?: boolean): Promise<boolean>;
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
  /** Aborted; it stays in the heap until its turn. */
  isGone: boolean;
  wake(): void;
}

const isSooner = (a: Sleeper, b: Sleeper): boolean =>
  a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);

/** A binary heap, soonest first. */
function push(heap: Sleeper[], one: Sleeper): void {
  let at = heap.length;
  heap.push(one);
  while (at > 0) {
    const up = (at - 1) >> 1;
    const above = heap[up];
    if (above === undefined || isSooner(above, one)) break;
    heap[at] = above;
    at = up;
  }
  heap[at] = one;
}

function takeFirst(heap: Sleeper[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    const [left, right] = [heap[2 * at + 1], heap[2 * at + 2]];
    if (left === undefined) break;
    const isRight = right !== undefined && isSooner(right, left);
    const below = isRight ? right : left;
    if (isSooner(last, below)) break;
    heap[at] = below;
    at = 2 * at + (isRight ? 2 : 1);
  }
  heap[at] = last;
}

/** 2026-01-01T00:00:00Z: an instant that looks like one in a failed assertion. */
const START_MS = 1_767_225_600_000;

export function createFakeClock(startAt: number = START_MS): FakeClock {
  let monotonicMs = 0;
  let wallOffsetMs = startAt;
  let order = 0;
  const heap: Sleeper[] = [];
  let sleepers = 0;

  const next = (): Sleeper | undefined => {
    while (heap[0]?.isGone === true) takeFirst(heap);
    return heap[0];
  };

  const wakeNext = async (notAfterMs: number): Promise<boolean> => {
    const sleeper = next();
    if (sleeper === undefined || sleeper.dueMs > notAfterMs) return false;
    monotonicMs = Math.max(monotonicMs, sleeper.dueMs);
    takeFirst(heap);
    sleepers--;
    sleeper.wake();
    await settle();
    return true;
  };

  return {
    now: (): InstantMs => instantMs(wallOffsetMs + monotonicMs),
    monotonicMs: () => monotonicMs,
    turn: () => Promise.resolve(),
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted === true) {
          reject(reasonOf(signal));
          return;
        }
        const abort = (): void => {
          sleeper.isGone = true;
          sleepers--;
          reject(reasonOf(signal));
        };
        const sleeper: Sleeper = {
          dueMs: monotonicMs + Math.max(0, ms),
          order: order++,
          isGone: false,
          wake: () => {
            signal?.removeEventListener("abort", abort);
            resolve();
          },
        };
        push(heap, sleeper);
        sleepers++;
        signal?.addEventListener("abort", abort, { once: true });
      }),
    advance: async (ms) => {
      const untilMs = monotonicMs + ms;
      await settle();
      while (await wakeNext(untilMs));
      monotonicMs = untilMs;
      await settle();
    },
    advanceToNext: async (settled = false) => {
      if (!settled) await settle();
      return wakeNext(Number.POSITIVE_INFINITY);
    },
    settle,
    jumpWallClock: (ms) => {
      wallOffsetMs += ms;
    },
    get sleepers() {
      return sleepers;
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
