import type { Clock, Log } from "@mayfly/spec";
import { toBrokerError } from "./faults.ts";
import type { Statement } from "./sql.ts";

export interface Upkeep {
  /** Makes partitions ahead of need; answers how many. */
  ensurePartitions(): Promise<number>;
  /** Takes away what expired: idempotency keys, one-time tokens, budgets of backends now gone. */
  purgeExpired(): Promise<number>;
  /** The alarm: rows that found no partition of their own, by table; at most 1000 are counted. */
  rowsInDefault(): Promise<Readonly<Record<string, number>>>;
}

const MONTHS_AHEAD = 3;
const PURGE_MAX = 10_000;
const EVERY_MS = 60 * 60 * 1000;

export function createUpkeep(sql: Statement): Upkeep {
  return {
    ensurePartitions: async () => {
      const [row] = await sql<{ made: number }[]>`
        SELECT mayfly.ensure_partitions(${MONTHS_AHEAD}::integer) AS made`;
      return row?.made ?? 0;
    },
    purgeExpired: async () => {
      const [row] = await sql<{ purged: number }[]>`
        SELECT mayfly.purge_expired(${PURGE_MAX}::integer) AS purged`;
      return row?.purged ?? 0;
    },
    rowsInDefault: async () => {
      const found = await sql<{ table_name: string; row_count: number }[]>`
        SELECT table_name, row_count::integer AS row_count FROM mayfly.rows_in_default()
        WHERE row_count > 0`;
      return Object.fromEntries(found.map((row) => [row.table_name, row.row_count]));
    },
  };
}

/**
 * Upkeep that nobody has to remember: with the sweep, at most once an hour in each process. Its
 * failure is logged and fails no sweep.
 */
export function createHourlyUpkeep(upkeep: Upkeep, clock: Clock, log: Log): () => Promise<void> {
  let doneMs: number | null = null;
  return async () => {
    if (doneMs !== null && clock.monotonicMs() - doneMs < EVERY_MS) return;
    doneMs = clock.monotonicMs();
    try {
      await upkeep.ensurePartitions();
      await upkeep.purgeExpired();
      const inDefault = await upkeep.rowsInDefault();
      if (Object.keys(inDefault).length > 0) {
        log.warn("ledger rows are in a default partition", { tables: inDefault });
      }
    } catch (error) {
      log.error("the ledger's upkeep failed", {}, toBrokerError(error));
    }
  };
}
