import {
  BrokerError,
  idFromUuid,
  type BackendId,
  type EndedLease,
  type EndedLeases,
  type EndedLeasesWanted,
  type InstantMs,
} from "@mayfly/spec";
import type { Sql } from "./sql.ts";

interface ReadingRow {
  readonly number: number;
  readonly read_at: InstantMs;
  readonly longer_until: InstantMs | null;
}
interface EndedRow {
  readonly id: string;
  readonly ended_at: InstantMs;
  readonly expires_at: InstantMs;
}

/** Ids are minted by brokers' clocks, and a reservation waits a little for its mint. */
const MARGIN_SECONDS = 300;
/** There may be any number, and each statement has its time. */
const PAGE_ROWS = 10_000;
const NO_UUID = "00000000-0000-0000-0000-000000000000";

/**
 * The number first: its row is the lock, and the statement after it sees all that was committed
 * before, so that no two readings overlap and a higher number never knows less.
 */
export function endedLeases(
  sql: Sql,
  backendId: BackendId,
  { lifetimeSecondsMax, graceSeconds, listSeconds = 0 }: EndedLeasesWanted,
  pageRows = PAGE_ROWS,
): Promise<EndedLeases> {
  return sql.begin(async (tx) => {
    const [reading] = await tx<ReadingRow[]>`
      INSERT INTO mayfly.ended_lease_readings AS last (backend_id, number, list_seconds)
      VALUES (${backendId}, floor(extract(epoch FROM clock_timestamp()) * 1000000)::float8,
        ${listSeconds}::float8)
      ON CONFLICT (backend_id) DO UPDATE SET number = greatest(last.number + 1, excluded.number),
        list_seconds = excluded.list_seconds,
        longer_until = CASE WHEN excluded.list_seconds < last.list_seconds
          THEN greatest(last.longer_until,
            clock_timestamp() + make_interval(secs => last.list_seconds))
          ELSE last.longer_until END
      RETURNING number, clock_timestamp() AS read_at, longer_until`;
    if (reading === undefined) throw new BrokerError("internal", "A reading has no number.");
    const since = lifetimeSecondsMax + graceSeconds + MARGIN_SECONDS;
    const leases: EndedLease[] = [];
    for (let after = NO_UUID; ;) {
      const rows = await tx<EndedRow[]>`
        SELECT l.id, l.expires_at,
          coalesce(l.end_requested_at, l.ended_at, l.expires_at) AS ended_at
        FROM mayfly.leases AS l
        WHERE l.id >= mayfly.uuid7_floor(now() - make_interval(secs => ${since}::float8))
          AND l.id > ${after}::uuid AND l.backend_id = ${backendId}
          AND l.state IN ('ending', 'ended', 'stuck') AND l.outcome IS DISTINCT FROM 'abandoned'
          AND l.expires_at > now() - make_interval(secs => ${graceSeconds}::float8)
        ORDER BY l.id LIMIT ${pageRows}`;
      for (const row of rows) leases.push(endedLeaseOf(row));
      const last = rows.at(-1);
      if (last === undefined || rows.length < pageRows) break;
      after = last.id;
    }
    const { number, read_at: readAt, longer_until: longer } = reading;
    return { number, readAt, leases, ...(longer === null ? {} : { longerListsUntil: longer }) };
  });
}

const endedLeaseOf = (row: EndedRow): EndedLease => ({
  leaseId: idFromUuid("lease", row.id),
  endedAt: row.ended_at,
  expiresAt: row.expires_at,
});
