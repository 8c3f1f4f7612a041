import {
  BrokerError,
  idFromUuid,
  instantOfId,
  uuidOfId,
  type Adopted,
  type BackendId,
  type InstantMs,
  type SweepLedger,
} from "@mayfly/spec";
import { appendEvents, WORKER } from "./append-events.ts";
import {
  hex,
  rows,
  uuids,
  type Fragment,
  type Sql,
  type Statement,
  type Transaction,
} from "./sql.ts";

interface KnownRow {
  readonly id: string;
  readonly task_id: string | null;
  readonly is_here: boolean;
  readonly is_orphan: boolean;
}
type Marked = Parameters<SweepLedger["adoptOrphans"]>[1];

/** The ledger's clock, cut to the millisecond: never later than it is. */
export async function readClock(sql: Sql): Promise<InstantMs> {
  const [row] = await sql<{ at: InstantMs }[]>`SELECT clock_timestamp() AS at`;
  if (row === undefined) throw new BrokerError("internal", "the ledger did not tell the time");
  return row.at;
}

/**
 * Called after the backend's listing: what is ours and belonged to no live lease at `listedAt`,
 * before that listing, is an orphan. A lease's `ended_at` is the start of a transaction that began
 * after its credential was destroyed: what was listed after it had come back. The handle is the one
 * that was found: a server that was restored from a dump has given its roles other OIDs.
 */
export async function adoptOrphans(
  sql: Sql,
  backendId: BackendId,
  marked: Marked,
  listedAt: InstantMs,
): Promise<Adopted> {
  const byId = new Map(marked.map((each) => [uuidOfId(each.mark.leaseId), each]));
  if (byId.size === 0) return NONE;
  // All of a page, mostly leases that live: to lock those held up whoever was ending them.
  const seen = await sql<KnownRow[]>`${knownRows(sql, byId.keys(), backendId, listedAt)}`;
  const unverified = seen.filter((row) => !row.is_here).map((row) => idFromUuid("lease", row.id));
  const notSuspect = new Set(seen.filter((row) => !row.is_orphan).map((row) => row.id));
  const suspects = [...byId].filter(([id]) => !notSuspect.has(id));
  if (suspects.length === 0) return { ...NONE, unverified };
  const orphans = await adoptSuspects(sql, backendId, new Map(suspects), listedAt);
  return { orphans, unverified };
}

const NONE: Adopted = { orphans: [], unverified: [] };

const knownRows = (
  sql: Statement,
  ids: Iterable<string>,
  backendId: BackendId,
  listedAt: InstantMs,
): Fragment => sql`
  SELECT id, task_id, backend_id = ${backendId} AS is_here, backend_id = ${backendId}
    AND state = 'ended' AND ended_at < mayfly.instant(${listedAt}::float8) AS is_orphan
  FROM mayfly.leases WHERE id = ANY (${uuids(ids)}::text::uuid[])`;

/** Looks again under the lock: another worker's listing may have adopted them meanwhile. */
function adoptSuspects(
  sql: Sql,
  backendId: BackendId,
  byId: ReadonlyMap<string, Marked[number]>,
  listedAt: InstantMs,
): Promise<Adopted["orphans"]> {
  return sql.begin(async (tx) => {
    const known = await tx<KnownRow[]>`
      ${knownRows(tx, byId.keys(), backendId, listedAt)} ORDER BY id FOR NO KEY UPDATE`;
    const knownIds = new Set(known.map((row) => row.id));
    const ended = new Map(known.filter((row) => row.is_orphan).map((row) => [row.id, row.task_id]));
    const reopened = [...byId].filter(([id]) => ended.has(id)).map(([, each]) => each);
    const lost = [...byId]
      .filter(([id, { mark }]) => !knownIds.has(id) && instantOfId(mark.leaseId) < listedAt)
      .map(([, each]) => each);
    if (reopened.length > 0) await reopen(tx, reopened);
    const inserted = lost.length > 0 ? await insertLost(tx, backendId, lost) : new Set<string>();
    const orphans = [...reopened, ...lost.filter((each) => inserted.has(leaseUuid(each)))];
    await appendEvents(
      tx,
      orphans.map((each) => {
        const taskId = ended.get(leaseUuid(each)) ?? null;
        return {
          kind: "lease.resurfaced",
          actor: WORKER,
          taskId: taskId === null ? null : idFromUuid("task", taskId),
          leaseId: each.mark.leaseId,
          data: {
            backendId,
            externalName: each.externalName,
            rowWasLost: inserted.has(leaseUuid(each)),
          },
        };
      }),
    );
    return orphans.map((each) => each.mark.leaseId);
  });
}

const leaseUuid = (each: Marked[number]): string => uuidOfId(each.mark.leaseId);
const orphanRow = (each: Marked[number]) => ({
  id: leaseUuid(each),
  handle: hex(each.sealedHandle),
  external_name: each.externalName,
  lease_id: each.mark.leaseId,
});

const reopen = (sql: Transaction, orphans: Marked) =>
  sql`
    UPDATE mayfly.leases AS l
    SET state = 'ending', version = l.version + 1, outcome = NULL, ended_at = NULL, due_at = now(),
      work = 'revoke', sealed_handle = decode(o.handle, 'hex'), attempts = 0, last_error = NULL,
      exposure = NULL, claim_token = NULL, claimed_until = NULL, end_reason = 'resurfaced'
    FROM jsonb_to_recordset(${rows(orphans.map(orphanRow))}::text::jsonb) AS o (
      id uuid, handle text)
    WHERE l.id = o.id AND l.state = 'ended'`.execute();

/** Nothing is known of it but its mark; it gets the backend's current revision and is due now. */
async function insertLost(
  sql: Transaction,
  backendId: BackendId,
  orphans: Marked,
): Promise<ReadonlySet<string>> {
  const [backend] = await sql<{ type: string; revision: number }[]>`
    SELECT type, revision FROM mayfly.backends WHERE id = ${backendId}`;
  if (backend === undefined) {
    throw new BrokerError("not_found", "There is no such backend.", { where: backendId });
  }
  const inserted = await sql<{ id: string }[]>`
    INSERT INTO mayfly.leases (id, backend_id, backend_type, backend_revision, plan, state,
      issue_by, settle_by, expires_at, due_at, end_requested_at, end_reason, work, sealed_handle)
    SELECT o.id, ${backendId}, ${backend.type}, ${backend.revision}::integer,
      jsonb_build_object('leaseId', o.lease_id, 'externalName', o.external_name, 'grant', '{}'::jsonb,
        'expiresAt', floor(extract(epoch FROM now()) * 1000)),
      'ending', now(), now(), now(), now(), now(), 'resurfaced', 'revoke', decode(o.handle, 'hex')
    FROM jsonb_to_recordset(${rows(orphans.map(orphanRow))}::text::jsonb) AS o (
      id uuid, handle text, external_name text, lease_id text)
    ORDER BY o.id
    ON CONFLICT DO NOTHING RETURNING id`;
  return new Set(inserted.map((row) => row.id));
}
