import type { BackendId, IssuingHealthReading } from "@mayfly/spec";
import type { LedgerClock } from "./ledger-clock.ts";
import type { Sql, Statement } from "./sql.ts";

/** The sweep over the ledger's own rows has no backend. */
export const OWN_ROWS = "";

const HEALTH = `
  SELECT
    (SELECT extract(epoch FROM now() - finished_at)::float8 FROM mayfly.sweeps
      WHERE backend_id = $1) AS sweep,
    (SELECT extract(epoch FROM now() - finished_at)::float8 FROM mayfly.sweeps
      WHERE backend_id = $2) AS listing,
    (SELECT count(*)::integer FROM mayfly.leases AS l
      WHERE l.backend_id || '' = $2 AND l.state = 'stuck' AND l.state <> 'ended') AS stuck`;

interface HealthRow {
  readonly sweep: number | null;
  readonly listing: number | null;
  readonly stuck: number;
}

/**
 * Counts among those on their way out, by the index of these: by the backend's own, which is what a
 * planner without statistics takes, it would go through all that lives of it, each second. The
 * empty text keeps that one out; and a plan that was made while nothing lived yet would go on
 * reading whichever index it took, so each reading is planned.
 */
export async function readIssuingHealth(
  sql: Statement,
  backendId: BackendId,
): Promise<IssuingHealthReading> {
  const [row] = await sql.unsafe<HealthRow[]>(HEALTH, [OWN_ROWS, backendId], { prepare: false });
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
