import {
  BrokerError,
  idFromUuid,
  uuidOfId,
  type Actor,
  type EndRequestBySelector,
  type EndSelector,
  type EndTarget,
  type InstantMs,
  type Page,
  type PageRequest,
  type SelectorEnd,
  type SelectorEndId,
  type SelectorEndResult,
} from "@mayfly/spec";
import { encodeCursor, parsePage } from "./cursor.ts";
import { leasesSelected, mustSelect, stillToEnd, tasksToKill } from "./selector-conditions.ts";
import { setDigest } from "./selector-preview.ts";
import { json, type Sql, type Statement, type Transaction } from "./sql.ts";

/** Of one look: the rest is found by the next. */
export const LOOK_MAX = 200_000;

interface SelectorEndRow {
  readonly id: string;
  readonly target: EndTarget;
  readonly selector: EndSelector;
  readonly actor: Actor;
  readonly reason: string;
  readonly requested_at: InstantMs;
  readonly look_until: InstantMs;
  readonly looks: number;
  readonly finished_at: InstantMs | null;
  readonly result: SelectorEndResult | null;
}

const columns = (sql: Statement) => sql`
  e.id, e.target, e.selector, e.actor, e.reason, e.requested_at, e.look_until, e.looks,
  e.finished_at, e.result`;

const selectorEndOf = (row: SelectorEndRow): SelectorEnd => ({
  id: idFromUuid("selectorEnd", row.id),
  target: row.target,
  selector: row.selector,
  actor: row.actor,
  reason: row.reason,
  requestedAt: row.requested_at,
  lookUntil: row.look_until,
  looks: row.looks,
  finishedAt: row.finished_at,
  result: row.result,
});

/** The request, its event and what it finds, in one transaction: before anything has ended. */
export function requestSelectorEnd(sql: Sql, request: EndRequestBySelector): Promise<SelectorEnd> {
  const { target, selector, actor, decisionId, reason, lookSeconds, expectDigest } = request;
  mustSelect(selector);
  return sql.begin(async (tx) => {
    const [row] = await tx<SelectorEndRow[]>`
      INSERT INTO mayfly.selector_ends AS e (target, selector, actor, reason, look_until)
      VALUES (${target}, ${json(selector)}::text::jsonb, ${json(actor)}::text::jsonb, ${reason},
        now() + make_interval(secs => ${lookSeconds}::float8))
      RETURNING ${columns(tx)}`;
    if (row === undefined) throw new Error("an insert gave no row");
    const end = selectorEndOf(row);
    await lookFor(tx, row);
    if (expectDigest !== null) await mustBeTheSame(tx, row, expectDigest);
    await tx`
      INSERT INTO mayfly.events (kind, actor, decision_id, data)
      VALUES ('selector_end.requested', ${json(actor)}::text::jsonb,
        ${decisionId === null ? null : uuidOfId(decisionId)}::uuid,
        ${json({ end: end.id, target, selector, reason })}::text::jsonb)`;
    return end;
  });
}

async function mustBeTheSame(
  sql: Transaction,
  { id, target }: SelectorEndRow,
  digest: string,
): Promise<void> {
  const [now] = await sql<{ digest: string }[]>`
    SELECT ${setDigest(sql)} AS digest FROM (
      SELECT member_id AS id FROM mayfly.selector_end_members
      WHERE end_id = ${id}::uuid AND ${target === "tasks" ? sql`kind = 'task'` : sql`pending`}
    ) AS members`;
  if (now?.digest === digest) return;
  throw new BrokerError("conflict", "The set that would end is not the one that was looked at.", {
    where: "expect",
    public: {
      digest: now?.digest ?? null,
      hint: "Nothing was ended. Look again with a dry run, then send its digest, or none.",
    },
  });
}

/** Records what is there by now; returns how much of it is still to end. */
export function lookAgain(sql: Sql, id: SelectorEndId): Promise<number> {
  return sql.begin(async (tx) => {
    const [row] = await tx<SelectorEndRow[]>`
      UPDATE mayfly.selector_ends AS e SET looks = looks + 1, touched_at = now()
      WHERE id = ${uuidOfId(id)}::uuid RETURNING ${columns(tx)}`;
    if (row === undefined) throw noSuchEnd();
    return lookFor(tx, row);
  });
}

async function lookFor(sql: Transaction, end: SelectorEndRow): Promise<number> {
  return end.target === "tasks" ? lookForTasks(sql, end) : lookForLeases(sql, end);
}

const countOf = (rows: readonly { readonly count: number }[]): number => rows[0]?.count ?? 0;

/** A look that was full says so, even where nothing of what it found is still to be marked. */
const toMark = (sql: Statement) => sql`
  greatest(count(*) FILTER (WHERE pending), (count(*) = ${LOOK_MAX}::bigint)::integer)::integer`;

async function lookForLeases(sql: Transaction, end: SelectorEndRow): Promise<number> {
  return countOf(
    await sql<{ count: number }[]>`
    WITH found AS (
      INSERT INTO mayfly.selector_end_members (end_id, kind, member_id, appeared, pending)
      SELECT ${end.id}::uuid, 'lease', l.id, l.reserved_at > e.requested_at, ${stillToEnd(sql)}
      FROM mayfly.leases AS l, mayfly.selector_ends AS e
      WHERE e.id = ${end.id}::uuid AND l.state <> 'ended' AND ${leasesSelected(sql, end.selector)}
        AND NOT EXISTS (
          SELECT FROM mayfly.selector_end_members AS m
          WHERE m.end_id = ${end.id}::uuid AND m.kind = 'lease' AND m.member_id = l.id)
      LIMIT ${LOOK_MAX}
      ON CONFLICT DO NOTHING
      RETURNING pending
    )
    SELECT ${toMark(sql)} AS count FROM found`,
  );
}

/** What is below a task that is killed follows it, and is on record just the same. */
async function lookForTasks(sql: Transaction, end: SelectorEndRow): Promise<number> {
  const pending = countOf(
    await sql<{ count: number }[]>`
    WITH wanted AS MATERIALIZED (${tasksToKill(sql, end.selector)}), found AS (
      INSERT INTO mayfly.selector_end_members (end_id, kind, member_id, appeared, pending)
      SELECT ${end.id}::uuid, 'task', w.id, w.opened_at > e.requested_at, w.selected
      FROM wanted AS w, mayfly.selector_ends AS e
      WHERE e.id = ${end.id}::uuid AND NOT EXISTS (
        SELECT FROM mayfly.selector_end_members AS m
        WHERE m.end_id = ${end.id}::uuid AND m.kind = 'task' AND m.member_id = w.id)
      LIMIT ${LOOK_MAX}
      ON CONFLICT DO NOTHING
      RETURNING pending
    )
    SELECT ${toMark(sql)} AS count FROM found`,
  );
  await sql`
    INSERT INTO mayfly.selector_end_members (end_id, kind, member_id, appeared, pending)
    SELECT ${end.id}::uuid, 'lease', l.id, l.reserved_at > e.requested_at, false
    FROM mayfly.selector_end_members AS m
    JOIN mayfly.leases AS l ON l.task_id = m.member_id AND l.state <> 'ended'
    JOIN mayfly.selector_ends AS e ON e.id = m.end_id
    WHERE m.end_id = ${end.id}::uuid AND m.kind = 'task'
    LIMIT ${LOOK_MAX}
    ON CONFLICT DO NOTHING`;
  return pending;
}

/** The first result stands, and its event is told once. */
export async function finishSelectorEnd(
  sql: Statement,
  id: SelectorEndId,
  result: SelectorEndResult,
): Promise<void> {
  await sql`
    WITH finished AS (
      UPDATE mayfly.selector_ends SET finished_at = now(), result = ${result}
      WHERE id = ${uuidOfId(id)}::uuid AND finished_at IS NULL
      RETURNING actor
    )
    INSERT INTO mayfly.events (kind, actor, data)
    SELECT 'selector_end.finished', f.actor, jsonb_build_object('end', ${id}::text,
      'result', ${result}::text,
      'tasks', (SELECT count(*) FROM mayfly.selector_end_members
        WHERE end_id = ${uuidOfId(id)}::uuid AND kind = 'task'),
      'leases', (SELECT count(*) FROM mayfly.selector_end_members
        WHERE end_id = ${uuidOfId(id)}::uuid AND kind = 'lease'))
    FROM finished AS f`;
}

export async function abandonedSelectorEnds(
  sql: Statement,
  idleSeconds: number,
  limit: number,
): Promise<readonly SelectorEnd[]> {
  const found = await sql<SelectorEndRow[]>`
    SELECT ${columns(sql)} FROM mayfly.selector_ends AS e
    WHERE e.finished_at IS NULL
      AND e.touched_at <= now() - make_interval(secs => ${idleSeconds}::float8)
    ORDER BY e.touched_at LIMIT ${limit}::integer`;
  return found.map(selectorEndOf);
}

export async function findSelectorEnd(
  sql: Statement,
  id: SelectorEndId,
): Promise<SelectorEnd | null> {
  const [row] = await sql<SelectorEndRow[]>`
    SELECT ${columns(sql)} FROM mayfly.selector_ends AS e WHERE e.id = ${uuidOfId(id)}::uuid`;
  return row === undefined ? null : selectorEndOf(row);
}

export async function listSelectorEnds(
  sql: Statement,
  page: PageRequest,
): Promise<Page<SelectorEnd>> {
  const { after, read } = parsePage("selector_ends", page);
  const found = await sql<SelectorEndRow[]>`
    SELECT ${columns(sql)} FROM mayfly.selector_ends AS e
    WHERE ${after === null ? sql`true` : sql`e.id < ${after}::uuid`}
    ORDER BY e.id DESC LIMIT ${read}::integer`;
  const shown = found.slice(0, page.limit);
  const last = shown.at(-1);
  const more = found.length > page.limit && last !== undefined;
  return {
    items: shown.map(selectorEndOf),
    next: more ? encodeCursor("selector_ends", last.id) : null,
  };
}

export const noSuchEnd = (): BrokerError =>
  new BrokerError("not_found", "There is no such end by selector.", { where: "id" });
