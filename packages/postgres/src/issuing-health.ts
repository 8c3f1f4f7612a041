import type { BackendId, IssuingHealthReading } from "@mayfly/spec";
import type { LedgerClock } from "./ledger-clock.ts";
import type { Sql, Statement } from "./sql.ts";

/** The sweep over the ledger's own rows has no backend. */
export const OWN_ROWS = "";

export async function readIssuingHealth(
  sql: Statement,
  backendId: BackendId,
): Promise<IssuingHealthReading> {
  const [row] = await sql<{ sweep: number | null; listing: number | null; stuck: number }[]>`
    SELECT
      (SELECT extract(epoch FROM now() - finished_at)::float8 FROM mayfly.sweeps
        WHERE backend_id = ${OWN_ROWS}) AS sweep,
      (SELECT extract(epoch FROM now() - finished_at)::float8 FROM mayfly.sweeps
        WHERE backend_id = ${backendId}) AS listing,
      (SELECT count(*)::integer FROM mayfly.leases AS l
        WHERE l.backend_id = ${backendId} AND l.state = 'stuck' AND l.state <> 'ended') AS stuck`;
  return {
    sweepAgeSeconds: row?.sweep ?? null,
    listingAgeSeconds: row?.listing ?? null,
    stuck: row?.stuck ?? 0,
  };
}

export async function recordSweep(
  sql: Sql,
  ledgerClock: LedgerClock,
  backendId: BackendId | null,
): Promise<void> {
  await sql`
    INSERT INTO mayfly.sweeps (backend_id, finished_at) VALUES (${backendId ?? OWN_ROWS}, now())
    ON CONFLICT (backend_id) DO UPDATE
    SET finished_at = greatest(sweeps.finished_at, excluded.finished_at)`;
  if (backendId === null) await ledgerClock.tick(sql);
}
