import {
  BrokerError,
  requireDecidedAt,
  type Actor,
  type BackendId,
  type ChangeTerms,
  type EventKind,
  type JsonObject,
  type Put,
} from "@mayfly/spec";
import { appendEvents } from "./append-events.ts";
import type { Sql, Statement, Transaction } from "./sql.ts";

/** What a change did; `null` event: it was there already, and nothing is written. */
export interface Change {
  readonly put: Put;
  readonly event: { readonly kind: EventKind; readonly data: JsonObject } | null;
}
export const UNCHANGED: Change = { put: "unchanged", event: null };

/**
 * Changes come one after the other, each raising the version and leaving its event, which names the
 * decision that permitted it. One that was decided from an earlier version is refused.
 */
export function changeCatalog(
  sql: Sql,
  actor: Actor,
  terms: ChangeTerms,
  change: (tx: Transaction) => Promise<Change>,
): Promise<Put> {
  return sql.begin(async (tx) => {
    const [now] = await tx<{ version: number }[]>`
      SELECT version::float8 FROM mayfly.catalog_version FOR NO KEY UPDATE`;
    requireDecidedAt(terms, now?.version ?? 0);
    const { put, event } = await change(tx);
    if (event === null) return put;
    await tx`UPDATE mayfly.catalog_version SET version = version + 1`;
    await appendEvents(tx, [{ ...event, actor, decisionId: terms.decisionId }]);
    return put;
  });
}

const CLOSING_SECONDS = 15;

/**
 * Runs a change that no live lease may see. First, in a commit of its own, the backend is closed to
 * reservations, so that a crowd of them cannot keep the second step waiting; then it is locked,
 * which waits for those under way, and its live leases are counted. A process that dies between
 * the two leaves the backend closed for 15 s.
 */
export async function whileNothingLives<T>(
  sql: Sql,
  backendId: BackendId,
  change: () => Promise<T>,
): Promise<T> {
  await sql`
    UPDATE mayfly.backends 
      SET closing_until = now() + make_interval(secs => ${CLOSING_SECONDS}::int)
    WHERE id = ${backendId} AND deleted_at IS NULL`;
  try {
    return await change();
  } finally {
    await sql`UPDATE mayfly.backends SET closing_until = NULL WHERE id = ${backendId}`;
  }
}

export async function refuseIfLeasesLive(
  sql: Statement,
  backendId: BackendId,
  what: string,
): Promise<void> {
  await sql`SELECT FROM mayfly.backends WHERE id = ${backendId} FOR UPDATE`;
  const [row] = await sql<{ live: number }[]>`
    SELECT count(*)::integer AS live FROM mayfly.leases
    WHERE backend_id = ${backendId} AND state <> 'ended'`;
  const live = row?.live ?? 0;
  if (live === 0) return;
  const message = `${what} while ${live} of its leases live. End them, or disable it and wait.`;
  throw new BrokerError("conflict", message, { where: backendId, public: { live_leases: live } });
}
