import type { Alarm, AlarmClock, AlarmListener, BackendId, Clock } from "@mayfly/spec";

/**
 * A queue in memory, on the clock that it is given, which fails as a real one does and when told.
 *
 * Both ends are one object's, so that a test can lose everything between them.
 */
export interface FakeAlarmClock extends AlarmClock {
  /** The worker's side. One at a time may listen. */
  readonly listener: AlarmListener;
  /** Alarms that were taken and have not rung, oldest first. */
  readonly pending: readonly Alarm[];
  /** What `wakeNow` was asked, in order. */
  readonly wokenNow: readonly BackendId[];
  /** What listeners threw. */
  readonly handlerErrors: readonly unknown[];
  /** Forgets every alarm and every wake-up that has not rung, as FLUSHALL does. */
  loseAll(): void;
  /** From now on, every ring is lost (`0`), single (`1`) or repeated. */
  ringTimes(times: number): void;
  /** From now on, every ring is late by this much. */
  delayBy(ms: number): void;
  /** From now on, both `wakeAt` and `wakeNow` reject with this; `null` heals. */
  failWith(error: Error | null): void;
}

export function createFakeAlarmClock(clock: Clock): FakeAlarmClock {
  const waiting = new Map<string, { readonly alarm: Alarm; readonly cancel: AbortController }>();
  const wokenNow: BackendId[] = [];
  const handlerErrors: unknown[] = [];
  const unheard: BackendId[] = [];
  let era = new AbortController();
  let times = 1;
  let delayMs = 0;
  let failure: Error | null = null;
  let closed = false;
  let ring: ((backendId: BackendId) => void) | null = null;

  const deliver = async (backendId: BackendId, lateMs: number): Promise<void> => {
    const { signal } = era;
    if (lateMs > 0) await clock.sleep(lateMs, signal);
    for (let count = 0; count < times; count++) {
      if (ring !== null) ring(backendId);
      else if (!unheard.includes(backendId)) unheard.push(backendId);
    }
  };
  const ringLater = async (id: string, alarm: Alarm, cancel: AbortController): Promise<void> => {
    const signal = AbortSignal.any([cancel.signal, era.signal]);
    await clock.sleep(Math.max(0, alarm.at - clock.now()), signal);
    waiting.delete(id);
    await deliver(alarm.backendId, delayMs);
  };

  const refuse = (): void => {
    if (closed) throw new Error("the queue was closed");
    if (failure !== null) throw failure;
  };

  return {
    wakeAt: async (alarm) => {
      refuse();
      const id = `${alarm.leaseId}-${alarm.generation}`;
      if (waiting.has(id)) return;
      const cancel = new AbortController();
      waiting.set(id, { alarm, cancel });
      ringLater(id, alarm, cancel).catch(() => waiting.delete(id));
    },
    wakeNow: async (backendIds) => {
      refuse();
      for (const backendId of backendIds) {
        wokenNow.push(backendId);
        deliver(backendId, delayMs).catch(() => undefined);
      }
    },
    close: async () => {
      closed = true;
      era.abort(new Error("the queue was closed"));
    },
    listener: {
      listen: async (handler) => {
        if (ring !== null) throw new Error("somebody listens already: close that listener first");
        ring = coalescing(handler, handlerErrors);
        for (const backendId of unheard.splice(0)) ring(backendId);
      },
      hears: async () => ring !== null && failure === null,
      close: async () => {
        ring = null;
      },
    },
    get pending() {
      return [...waiting.values()].map(({ alarm }) => alarm);
    },
    wokenNow,
    handlerErrors,
    loseAll: () => {
      era.abort(new Error("the queue lost it"));
      era = new AbortController();
      waiting.clear();
      unheard.length = 0;
    },
    ringTimes: (count) => {
      times = count;
    },
    delayBy: (ms) => {
      delayMs = ms;
    },
    failWith: (error) => {
      failure = error;
    },
  };
}

/** One pass per backend at a time; wakes during a pass make one more. */
function coalescing(
  handler: (backendId: BackendId) => Promise<void>,
  errors: unknown[],
): (backendId: BackendId) => void {
  const again = new Map<BackendId, boolean>();
  const run = async (backendId: BackendId): Promise<void> => {
    do {
      again.set(backendId, false);
      try {
        await handler(backendId);
      } catch (error) {
        errors.push(error);
      }
    } while (again.get(backendId) === true);
    again.delete(backendId);
  };
  return (backendId) => {
    if (again.has(backendId)) again.set(backendId, true);
    else run(backendId).catch((error: unknown) => errors.push(error));
  };
}
