import type { Clock } from "@mayfly/spec";
import type { Statement } from "./sql.ts";

/**
 * The ledger's clock ticks while writes are accepted: with each sweep, and with heartbeats, at most
 * once an interval from each process. A gap of more than two intervals was an outage: it is added
 * up, and no task was idle in it.
 */
export interface LedgerClock {
  tick(sql: Statement): Promise<void>;
  /** Ticks unless this process did so within the interval. */
  tickIfDue(sql: Statement): Promise<void>;
  readonly intervalSeconds: number;
}

export function createLedgerClock(clock: Clock, intervalSeconds: number): LedgerClock {
  let tickedMs: number | null = null;
  const tick = async (sql: Statement): Promise<void> => {
    tickedMs = clock.monotonicMs();
    await sql`
      UPDATE mayfly.ledger_clock
      SET outage_seconds = outage_seconds + ${missed(sql, intervalSeconds)},
        ticked_at = greatest(ticked_at, now())`;
  };
  return {
    intervalSeconds,
    tick,
    tickIfDue: async (sql) => {
      if (tickedMs !== null && clock.monotonicMs() - tickedMs < intervalSeconds * 1000) return;
      await tick(sql);
    },
  };
}

/** Seconds of outage since the last tick, of `mayfly.ledger_clock`. */
const missed = (sql: Statement, intervalSeconds: number) => sql`
  CASE WHEN now() - ticked_at > make_interval(secs => 2 * ${intervalSeconds}::float8)
    THEN extract(epoch FROM now() - ticked_at)::float8 ELSE 0 END`;

/**
 * All seconds of outage until now, ticked or not. A task notes it with each sign of life, so that
 * only what comes after counts in its favour.
 */
export const outageSoFar = (sql: Statement, intervalSeconds: number) => sql`
  (SELECT outage_seconds + ${missed(sql, intervalSeconds)} FROM mayfly.ledger_clock)`;
