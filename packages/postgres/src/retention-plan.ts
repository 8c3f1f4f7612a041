import { NIL_UUID, readLogCut } from "./log-cut.ts";
import type { Sql } from "./sql.ts";

/** Which months leave, and where the log is cut for that. */
export interface RetentionCut {
  /** `2025_09`, oldest first. */
  readonly months: readonly string[];
  readonly logIndex: number;
  readonly chainSha256: string;
  readonly keptFromId: string;
}
export interface RetentionPlan {
  /** The first entry that is still here. */
  readonly from: number;
  /** Chain hash before it. */
  readonly beforeSha256: string;
  /** Null: nothing leaves. */
  readonly cut: RetentionCut | null;
  /** Why an old month stays, and all after it; null: none has to. */
  readonly kept: { readonly month: string; readonly why: string } | null;
}

interface MonthRow {
  readonly month: string;
  /** The least id of the month after it. */
  readonly end_id: string;
  readonly active_tasks: number;
  readonly live_leases: number;
  readonly open_ends: number;
  readonly pending: number;
  /** The last entry of the log that has an event of this month, or an older one; null: none. */
  readonly last_index: number | null;
  readonly uncounted: boolean;
}

/** Whole months before the first of those that stay, as far as nothing in them lives. */
export async function readRetentionPlan(sql: Sql, keepMonths: number): Promise<RetentionPlan> {
  const before = await readLogCut(sql);
  const from = before?.logIndex ?? 0;
  const beforeSha256 = Buffer.from(before?.chain ?? new Uint8Array(32)).toString("hex");
  const months: string[] = [];
  let last: MonthRow | null = null;
  let kept: RetentionPlan["kept"] = null;
  for (const row of await readMonths(sql, keepMonths)) {
    const why = whyKept(row);
    if (why !== null) {
      kept = { month: row.month, why };
      break;
    }
    months.push(row.month);
    last = row;
  }
  const lastIndex = last?.last_index ?? null;
  if (last === null || lastIndex === null || lastIndex < from) {
    return { from, beforeSha256, cut: null, kept };
  }
  const [entry] = await sql<{ chain: string }[]>`
    SELECT encode(chain_hash, 'hex') AS chain FROM mayfly.log_entries
    WHERE log_index = ${lastIndex}::float8::bigint`;
  const chainSha256 = entry?.chain ?? "";
  const cut = { months, logIndex: lastIndex + 1, chainSha256, keptFromId: last.end_id };
  return { from, beforeSha256, cut, kept };
}

function whyKept(row: MonthRow): string | null {
  const counted: readonly (readonly [number, string])[] = [
    [row.active_tasks, "tasks are active"],
    [row.live_leases, "leases have not ended"],
    [row.open_ends, "ends were requested and not applied"],
    [row.pending, "events have no place in the log yet"],
  ];
  const found = counted.find(([count]) => count > 0);
  if (found !== undefined) return `${found[0]} ${found[1]}`;
  return row.uncounted ? "the worker has not counted its policies' use yet" : null;
}

/**
 * Attached months that end before the kept ones begin, by the server's clock, in UTC. What the log
 * has of a month is read once, by the ids alone: an entry whose event left with an earlier cut
 * stands before that cut, and so changes nothing.
 */
const readMonths = (sql: Sql, keepMonths: number) =>
  sql<MonthRow[]>`
    WITH monthly AS MATERIALIZED (
      SELECT right(c.relname, 7) AS month
      FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'mayfly.events'::regclass AND c.relname ~ '^events_\\d{4}_\\d{2}$'
    ), months AS (
      SELECT month, mayfly.uuid7_floor((to_date(month, 'YYYY_MM')::timestamp + interval '1 month')
        AT TIME ZONE 'UTC') AS end_id
      FROM monthly
      WHERE to_date(month, 'YYYY_MM') < date_trunc('month', now() AT TIME ZONE 'UTC')
        - make_interval(months => ${keepMonths}::integer)
    ), ranges AS (
      SELECT month, end_id, lag(end_id) OVER (ORDER BY month) AS from_id FROM months
    ), placed AS (
      SELECT r.month, r.end_id, max((
          SELECT max(l.log_index) FROM mayfly.log_entries AS l
          WHERE l.event_id >= coalesce(r.from_id, ${NIL_UUID}::uuid) AND l.event_id < r.end_id)
        ) OVER (ORDER BY r.month) AS last_index
      FROM ranges AS r
    )
    SELECT p.month, p.end_id, p.last_index::float8 AS last_index,
      (SELECT count(*) FROM mayfly.tasks AS t
        WHERE t.state = 'active' AND t.id < p.end_id)::float8 AS active_tasks,
      (SELECT count(*) FROM mayfly.leases AS l
        WHERE l.state <> 'ended' AND l.id < p.end_id)::float8 AS live_leases,
      (SELECT count(*) FROM mayfly.task_end_requests AS r
        WHERE r.applied_at IS NULL AND r.task_id < p.end_id)::float8 AS open_ends,
      (SELECT count(*) FROM mayfly.events_pending AS q
        WHERE q.event_id < p.end_id)::float8 AS pending,
      coalesce((SELECT h.log_index FROM mayfly.policy_use_head AS h) <= p.last_index, false)
        AS uncounted
    FROM placed AS p ORDER BY p.month`;
