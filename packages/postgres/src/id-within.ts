import { and, sql } from "drizzle-orm";
import type { PgColumn } from "drizzle-orm/pg-core";
import type { InstantMs } from "@mayfly/spec";

/** Ids are minted by other clocks than the ledger's: the search by id is this much wider. */
const CLOCK_MARGIN_MS = 24 * 3600 * 1000;

/** Prunes partitions; the exact condition is on the instant itself. */
export const idWithin = (id: PgColumn, from: InstantMs | undefined, until: InstantMs | undefined) =>
  and(
    from === undefined
      ? undefined
      : sql`${id} >= mayfly.uuid7_floor(mayfly.instant(${from - CLOCK_MARGIN_MS}))`,
    until === undefined
      ? undefined
      : sql`${id} < mayfly.uuid7_floor(mayfly.instant(${until + CLOCK_MARGIN_MS}))`,
  );
