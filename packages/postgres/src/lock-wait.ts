import type { LockMode } from "./lock-task-paths.ts";
import type { Statement } from "./sql.ts";

/**
 * How long one request of a group commit may wait for a lock. In a batch only what cannot be
 * skipped waits at all (a key that another transaction is inserting), and then briefly: the batch
 * is divided until the one that waits is alone.
 */
const LOCK_WAIT_MS = { batch: 100, alone: 3_000 } as const satisfies Record<LockMode, number>;

export const limitLockWait = (sql: Statement, mode: LockMode): Promise<unknown> =>
  sql`SELECT set_config('lock_timeout', ${String(LOCK_WAIT_MS[mode])}, true)`.execute();
