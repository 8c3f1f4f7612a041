import type { LockMode } from "./lock-task-paths.ts";

/**
 * How long one request of a group commit may wait for a lock. In a batch only what cannot be
 * skipped waits at all (a key that another transaction is inserting), and then briefly: the batch
 * is divided until the one that waits is alone.
 */
export const LOCK_WAIT_MS = { batch: 100, alone: 3_000 } as const satisfies Record<
  LockMode,
  number
>;

export const limitLockWait = (mode: LockMode): string =>
  `SET LOCAL lock_timeout = ${LOCK_WAIT_MS[mode]}`;
