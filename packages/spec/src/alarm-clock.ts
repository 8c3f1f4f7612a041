import type { BackendId, LeaseId } from "./ids.ts";
import type { InstantMs } from "./time.ts";

/**
 * The queue: an alarm clock over the ledger's rows, never the truth.
 *
 * Q1. A wake-up may be lost, late, repeated or reordered, and nothing breaks. Q2. Ids have a
 * generation, so that an alarm may ring again after it rang. Q3. Every call is bounded in time;
 * callers in a request never wait for one. Q4. Carries lease and backend id, nothing else.
 */
export interface AlarmClock {
  /** Wake the backend's pass at `at`. */
  wakeAt(alarm: Alarm): Promise<void>;
  /** Wake it now: a task completed or was killed. */
  wakeNow(backendIds: readonly BackendId[]): Promise<void>;
  close(): Promise<void>;
}
export interface Alarm {
  readonly leaseId: LeaseId;
  readonly backendId: BackendId;
  readonly at: InstantMs;
  /**
   * 0 at issue. Of a renewal the second of the expiry before it, of a wait at an end the
   * millisecond of `at`: neither was used before.
   */
  readonly generation: number;
}

/** The worker's side. */
export interface AlarmListener {
  /**
   * The handler's failure is logged and never retried by the queue: the row will be swept. `due`
   * says whose ends are due by the ledger. It is asked while alarms come in a crowd: they ring in
   * the order of their times, so another backend's stands behind all of a storm's.
   */
  listen(
    handler: (backendId: BackendId) => Promise<void>,
    due?: () => Promise<readonly BackendId[]>,
  ): Promise<void>;
  /** Whether alarms are heard now: it listens, and the store answers. Never rejects. */
  hears(): Promise<boolean>;
  close(): Promise<void>;
}
