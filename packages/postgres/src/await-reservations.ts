import { BrokerError } from "@mayfly/spec";
import type { RetryPorts } from "./retry.ts";
import type { Sql } from "./sql.ts";

/** A reservation takes milliseconds, unless its process was frozen in the middle of it. */
const WAIT_MS_MAX = 2_000;
const PAUSE_MS = 10;

/**
 * Waits for each transaction that may have judged a reservation by what was there before now and
 * has not committed it: whoever looks after that sees it. Locks that reservations take before they
 * judge say which those are. Throws `busy` when one of them stays open.
 */
export async function awaitReservations({ clock }: RetryPorts, sql: Sql): Promise<void> {
  const untilMs = clock.monotonicMs() + WAIT_MS_MAX;
  let open = await reserving(sql);
  const before = new Set(open);
  while (open.some((each) => before.has(each))) {
    if (clock.monotonicMs() >= untilMs) {
      throw new BrokerError("busy", "A reservation stays open: what it adds is not seen yet.", {
        where: "ledger",
        retryAfterSeconds: 1,
      });
    }
    await clock.sleep(PAUSE_MS);
    open = await reserving(sql);
  }
}

async function reserving(sql: Sql): Promise<readonly string[]> {
  const found = await sql<{ virtualtransaction: string }[]>`
    SELECT DISTINCT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND granted AND mode IN ('RowShareLock', 'RowExclusiveLock')
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND relation IN (
        'mayfly.backends'::regclass, 'mayfly.tasks'::regclass, 'mayfly.leases'::regclass)`;
  return found.map((row) => row.virtualtransaction);
}
