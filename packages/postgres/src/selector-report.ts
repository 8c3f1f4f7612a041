import {
  uuidOfId,
  type InstantMs,
  type Lease,
  type LeaseOutcome,
  type LeaseState,
  type PageRequest,
  type SelectorEndId,
  type SelectorEndReport,
} from "@mayfly/spec";
import { encodeCursor, parsePage } from "./cursor.ts";
import { leaseColumns, leaseOfRow, type LeaseRow } from "./lease-row.ts";
import { findSelectorEnd } from "./selector-request.ts";
import type { Statement } from "./sql.ts";

export const LIVE_MEMBERS_MAX = 10_000;

interface CountsRow {
  readonly tasks: number;
  readonly leases: number;
  readonly appeared: number;
  readonly pending: number;
}
interface StateRow {
  readonly state: LeaseState;
  readonly outcome: LeaseOutcome | null;
  readonly leases: number;
}
interface ExposureRow {
  readonly leases: number;
  readonly unknown: number;
  readonly until: InstantMs | null;
}

/** What is dead, what is dying and until when, of all that an end by selector found. */
export async function reportSelectorEnd(
  sql: Statement,
  id: SelectorEndId,
  page: PageRequest,
): Promise<SelectorEndReport | null> {
  const { after, read } = parsePage("selector_end", page);
  const uuid = uuidOfId(id);
  const end = await findSelectorEnd(sql, id);
  if (end === null) return null;
  const [[counts], states, [exposure], found] = await Promise.all([
    countMembers(sql, uuid, end.target === "tasks" ? "task" : "lease"),
    countStates(sql, uuid),
    countExposed(sql, uuid),
    memberLeases(sql, uuid, after, read),
  ]);
  if (counts === undefined || exposure === undefined) throw new Error("a count gave no row");
  const shown = found.slice(0, page.limit);
  const last = shown.at(-1);
  const more = found.length > page.limit && last !== undefined;
  return {
    end,
    ...counts,
    states: [...states],
    exposure,
    page: {
      items: shown.map(leaseOfRow),
      next: more ? encodeCursor("selector_end", last.id) : null,
    },
  };
}

const countMembers = (sql: Statement, id: string, target: "task" | "lease") =>
  sql<CountsRow[]>`
    SELECT count(*) FILTER (WHERE kind = 'task')::integer AS tasks,
      count(*) FILTER (WHERE kind = 'lease')::integer AS leases,
      count(*) FILTER (WHERE appeared AND kind = ${target})::integer AS appeared,
      count(*) FILTER (WHERE pending)::integer AS pending
    FROM mayfly.selector_end_members WHERE end_id = ${id}::uuid`.execute();

const countStates = (sql: Statement, id: string) =>
  sql<StateRow[]>`
    SELECT l.state, l.outcome, count(*)::integer AS leases
    FROM mayfly.selector_end_members AS m JOIN mayfly.leases AS l ON l.id = m.member_id
    WHERE m.end_id = ${id}::uuid AND m.kind = 'lease'
    GROUP BY l.state, l.outcome ORDER BY l.state, l.outcome`.execute();

const countExposed = (sql: Statement, id: string) =>
  sql<ExposureRow[]>`
    SELECT count(*)::integer AS leases,
      count(*) FILTER (WHERE l.exposure = 'unknown')::integer AS unknown,
      max(l.exposed_until) AS until
    FROM mayfly_audit.exposed_leases AS l
    WHERE l.lease_id IN (
      SELECT member_id FROM mayfly.selector_end_members
      WHERE end_id = ${id}::uuid AND kind = 'lease')`.execute();

const memberLeases = (sql: Statement, id: string, after: string | null, limit: number) =>
  sql<LeaseRow[]>`
    SELECT ${leaseColumns(sql)}
    FROM mayfly.selector_end_members AS m JOIN mayfly.leases AS l ON l.id = m.member_id
    WHERE m.end_id = ${id}::uuid AND m.kind = 'lease'
      AND ${after === null ? sql`true` : sql`m.member_id < ${after}::uuid`}
    ORDER BY m.member_id DESC LIMIT ${limit}::integer`.execute();

/** Those that might still work, soonest due first: what whoever waits is waiting for. */
export async function liveMembers(
  sql: Statement,
  id: SelectorEndId,
  limit: number,
): Promise<readonly Lease[]> {
  const found = await sql<LeaseRow[]>`
    SELECT ${leaseColumns(sql)} FROM mayfly.leases AS l
    WHERE l.state <> 'ended' AND l.id IN (
      SELECT member_id FROM mayfly.selector_end_members
      WHERE end_id = ${uuidOfId(id)}::uuid AND kind = 'lease')
    ORDER BY l.due_at LIMIT ${Math.min(limit, LIVE_MEMBERS_MAX)}`;
  return found.map(leaseOfRow);
}
