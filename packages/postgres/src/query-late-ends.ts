import { and, desc, eq, gte, lt, ne, sql, type SQL } from "drizzle-orm";
import {
  InvalidInput,
  LATE_SECONDS_MIN,
  type InstantMs,
  type LateEnd,
  type LateEndFilter,
  type LateReason,
  type Page,
  type PageRequest,
} from "@mayfly/spec";
import { parsePage } from "./cursor.ts";
import { leaseOfRow, type LeaseRow } from "./lease-row.ts";
import { leaseFields } from "./newest-leases.ts";
import { pageOf, type Database } from "./queries.ts";
import { leases } from "./schema.ts";
import { parseInstant } from "./sql.ts";

/** As the index `leases_late` has it, letter for letter. */
const dueAt = sql<InstantMs>`CASE WHEN ${leases.activated_at} IS NULL THEN ${leases.settle_by}
  ELSE least(${leases.expires_at}, coalesce(${leases.end_requested_at}, ${leases.expires_at}))
  END`.mapWith(parseInstant);

/** Newest lease first: those that ended late, and those that are late now. */
export async function queryLateEnds(
  db: Database,
  filter: LateEndFilter,
  page: PageRequest,
): Promise<Page<LateEnd>> {
  const { overSeconds } = filter;
  if (!(overSeconds >= LATE_SECONDS_MIN)) {
    throw new InvalidInput(`over: expected at least ${LATE_SECONDS_MIN} s`, { where: "over" });
  }
  const { after, read } = parsePage("late", page);
  const [ended, live] = await Promise.all([
    selectLate(db, { filter, after, read, ended: true }),
    selectLate(db, { filter, after, read, ended: false }),
  ]);
  const all = [...ended, ...live].toSorted((a, b) => (a.id < b.id ? 1 : -1));
  return pageOf("late", page, all, lateEndOfRow);
}

interface Wanted {
  readonly filter: LateEndFilter;
  readonly after: string | null;
  readonly read: number;
  readonly ended: boolean;
}

function selectLate(db: Database, { filter, after, read, ended }: Wanted) {
  const end: SQL = ended ? sql`${leases.ended_at}` : sql`now()`;
  const late = sql`${end} - ${dueAt}`;
  return db
    .select({
      id: leases.id,
      lease: leaseFields,
      due_at: dueAt,
      late_seconds: sql<number>`extract(epoch FROM ${late})::float8`,
    })
    .from(leases)
    .where(
      and(
        (ended ? eq : ne)(leases.state, sql`'ended'`),
        // The index holds what is later than a second; the bound itself is a parameter.
        sql`${late} > interval '1 second'`,
        sql`${late} >= make_interval(secs => ${filter.overSeconds}::float8)`,
        filter.backendId === undefined ? undefined : eq(leases.backend_id, filter.backendId),
        filter.workload === undefined ? undefined : eq(leases.workload, filter.workload),
        filter.from === undefined ? undefined : gte(dueAt, instantText(filter.from)),
        filter.until === undefined ? undefined : lt(dueAt, instantText(filter.until)),
        after === null ? undefined : lt(leases.id, after),
      ),
    )
    .orderBy(desc(leases.id))
    .limit(read)
    .execute();
}

const instantText = (at: InstantMs): string => new Date(at).toISOString();

function lateEndOfRow(row: {
  readonly lease: LeaseRow;
  readonly due_at: InstantMs;
  readonly late_seconds: number;
}): LateEnd {
  return {
    lease: leaseOfRow(row.lease),
    dueAt: row.due_at,
    lateSeconds: row.late_seconds,
    why: lateReasonOf(row.lease),
  };
}

function lateReasonOf(
  lease: Pick<LeaseRow, "attempts" | "last_error" | "end_reason" | "exposure">,
): LateReason {
  if (lease.end_reason === "resurfaced") return "resurfaced";
  if (lease.attempts > 0 || lease.last_error !== null) return "failed_attempts";
  const { exposure } = lease;
  const waits = exposure !== null && exposure.kind !== "none" && exposure.reason !== "live";
  return waits ? "propagating" : "not_reached";
}
