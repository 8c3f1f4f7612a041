import type { Transaction } from "./sql.ts";

/**
 * From the time that an end bears to the last statement of its transaction. COMMIT follows within
 * `CONNECTION_LIMITS.idleInTransactionMs`, or the server undoes it.
 */
const END_SECONDS_MAX = 10;

/** The last statement of a transaction that ends leases: if it is late, it undoes it. */
export const promptEnd = (sql: Transaction, secondsMax = END_SECONDS_MAX) =>
  sql`SELECT mayfly.require_prompt_end(${secondsMax}::float8)`;
