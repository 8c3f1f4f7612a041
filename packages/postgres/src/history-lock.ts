import { BrokerError } from "@mayfly/spec";
import type { Sql } from "./sql.ts";

/**
 * Two that change the history at once would work on the same rows and write over each other's
 * files. It is held until the connection ends.
 */
export async function holdHistory(sql: Sql): Promise<void> {
  const [lock] = await sql<{ got: boolean }[]>`
    SELECT pg_try_advisory_lock(hashtextextended('mayfly retention', 0)) AS got`;
  if (lock?.got === true) return;
  throw new BrokerError("conflict", "A retention or an erasure of this ledger is under way.", {
    where: "ledger",
  });
}
