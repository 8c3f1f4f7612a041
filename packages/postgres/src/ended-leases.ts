import {
  BrokerError,
  ENDED_LEASES_MAX,
  idFromUuid,
  type BackendId,
  type EndedLeases,
  type EndedLeasesWanted,
  type InstantMs,
} from "@mayfly/spec";
import type { Sql } from "./sql.ts";

interface EndedRow {
  readonly id: string;
  readonly ended_at: InstantMs;
  readonly expires_at: InstantMs;
}

/** Ids are minted by brokers' clocks, and a reservation waits a little for its mint. */
const MARGIN_SECONDS = 300;

/**
 * The number first: its row is the lock, and the statement after it sees all that was committed
 * before, so that no two readings overlap and a higher number never knows less.
 */
export function endedLeases(
  sql: Sql,
  backendId: BackendId,
  { lifetimeSecondsMax, graceSeconds }: EndedLeasesWanted,
): Promise<EndedLeases> {
  return sql.begin(async (tx) => {
    const [reading] = await tx<{ number: number; read_at: InstantMs }[]>`
      INSERT INTO mayfly.ended_lease_readings AS last (backend_id, number)
      VALUES (${backendId}, floor(extract(epoch FROM clock_timestamp()) * 1000000)::float8)
      ON CONFLICT (backend_id) DO UPDATE SET number = greatest(last.number + 1, excluded.number)
      RETURNING number, clock_timestamp() AS read_at`;
    if (reading === undefined) throw new BrokerError("internal", "A reading has no number.");
    const since = lifetimeSecondsMax + graceSeconds + MARGIN_SECONDS;
    const rows = await tx<EndedRow[]>`
      SELECT l.id, coalesce(l.end_requested_at, l.ended_at, l.expires_at) AS ended_at, l.expires_at
      FROM mayfly.leases AS l
      WHERE l.id >= mayfly.uuid7_floor(now() - make_interval(secs => ${since}::float8))
        AND l.backend_id = ${backendId}
        AND l.state IN ('ending', 'ended', 'stuck') AND l.outcome IS DISTINCT FROM 'abandoned'
        AND l.expires_at > now() - make_interval(secs => ${graceSeconds}::float8)
      ORDER BY l.id LIMIT ${ENDED_LEASES_MAX + 1}`;
    if (rows.length > ENDED_LEASES_MAX) throw tooMany(backendId);
    return {
      number: reading.number,
      readAt: reading.read_at,
      leases: rows.map((row) => ({
        leaseId: idFromUuid("lease", row.id),
        endedAt: row.ended_at,
        expiresAt: row.expires_at,
      })),
    };
  });
}

const tooMany = (backendId: BackendId): BrokerError =>
  new BrokerError(
    "busy",
    `Backend ${backendId} has more than ${ENDED_LEASES_MAX} ended leases that have not expired: ` +
      "no list of them is made until some have.",
    { retryAfterSeconds: 10 },
  );
