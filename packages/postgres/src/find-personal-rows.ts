import type { JsonObject } from "@mayfly/spec";
import {
  ERASED_TABLES,
  PERSONAL_COLUMNS,
  type ErasedTable,
  type LoggedRow,
  type PersonalRow,
} from "./erasure-rows.ts";
import type { PersonSelector } from "./personal-values.ts";
import { uuids, type Fragment, type Statement } from "./sql.ts";

/** Where the name is a value: trees of tasks, and rows that belong to no task. */
export interface FoundRows {
  /** UUIDs of the trees' root tasks, oldest first. */
  readonly roots: readonly string[];
  readonly loners: readonly Loner[];
}
export interface Loner {
  readonly table: ErasedTable;
  readonly id: string;
  /** Of a decision: the events that tell of it, which have its digest. */
  readonly events: readonly string[];
}

/** Which task a row of `t` belongs to. */
const TASK_OF: Readonly<Record<ErasedTable, string>> = {
  tasks: "t.id",
  task_end_requests: "t.task_id",
  decisions: "t.task_id",
  leases: "t.task_id",
  events: "coalesce(t.task_id, (SELECT l.task_id FROM mayfly.leases AS l WHERE l.id = t.lease_id))",
  selector_ends: "NULL::uuid",
};

const idOf = (table: ErasedTable): string => (table === "task_end_requests" ? "task_id" : "id");

const columnsOf = (table: ErasedTable): string =>
  `jsonb_build_object(${PERSONAL_COLUMNS[table].map((name) => `'${name}', t.${name}`).join(", ")})`;

/** All tables as one relation `r (table_name, id, task, content)`; `content` is text of JSON. */
const everywhere = (sql: Statement): Fragment =>
  sql`(${sql.unsafe(
    ERASED_TABLES.map(
      (table) => `
      SELECT '${table}' AS table_name, t.${idOf(table)} AS id, ${TASK_OF[table]} AS task,
        ${columnsOf(table)}::text AS content
      FROM mayfly.${table} AS t`,
    ).join(" UNION ALL "),
  )}) AS r`;

/** The name as a value of JSON, or at the end of a reason that was made of it. */
const hasName = (sql: Statement, { name }: PersonSelector): Fragment => {
  const quoted = JSON.stringify(name);
  return sql`(strpos(r.content, to_jsonb(${name}::text)::text) > 0
    OR strpos(r.content, ${` by ${quoted.slice(1)}`}) > 0)`;
};

/** Reads all of the history: as long as that takes. */
export async function findPersonalRows(
  sql: Statement,
  selector: PersonSelector,
): Promise<FoundRows> {
  const found = await sql<{ table_name: ErasedTable; id: string; root_id: string | null }[]>`
    SELECT DISTINCT
      CASE WHEN t.root_id IS NULL THEN r.table_name ELSE 'tasks' END AS table_name,
      CASE WHEN t.root_id IS NULL THEN r.id ELSE t.root_id END AS id, t.root_id
    FROM ${everywhere(sql)} LEFT JOIN mayfly.tasks AS t ON t.id = r.task
    WHERE ${hasName(sql, selector)}
    ORDER BY 2`;
  const roots = found.flatMap(({ root_id: root }) => root ?? []);
  const loners = found.filter(({ root_id: root }) => root === null);
  const decisions = loners.filter(({ table_name: table }) => table === "decisions");
  // The event of a denial need not have the name.
  const told = await sql<{ id: string; decision_id: string }[]>`
    SELECT id, decision_id FROM mayfly.events
    WHERE kind IN ('decision.permitted', 'decision.denied')
      AND decision_id = ANY (${uuids(decisions.map(({ id }) => id))}::text::uuid[])`;
  const isTold = new Set(told.map(({ id }) => id));
  const eventsOf = Map.groupBy(told, ({ decision_id: decision }) => decision);
  return {
    roots,
    loners: loners
      .filter(({ id }) => !isTold.has(id))
      .map(({ table_name: table, id }) => ({
        table,
        id,
        events: (eventsOf.get(id) ?? []).map((event) => event.id),
      })),
  };
}

/** Rows in which the name is part of a longer text: nobody can tell whether it is this person. */
export async function countMentions(sql: Statement, selector: PersonSelector): Promise<number> {
  const inner = JSON.stringify(selector.name).slice(1, -1);
  const [row] = await sql<{ count: number }[]>`
    SELECT count(*)::float8 AS count FROM ${everywhere(sql)}
    WHERE strpos(r.content, ${inner}) > 0 AND NOT ${hasName(sql, selector)}`;
  return row?.count ?? 0;
}

/** A task of a tree, locked. */
export interface TreeTask {
  readonly id: string;
  readonly root_id: string;
  readonly ancestors: readonly string[];
  readonly state: string;
  readonly is_theirs: boolean;
}

/** In the order in which everybody locks: tasks by depth and id, then leases by id. */
export async function lockTrees(
  sql: Statement,
  roots: readonly string[],
  { by, name }: PersonSelector,
): Promise<{ readonly tasks: readonly TreeTask[]; readonly live: ReadonlySet<string> }> {
  const tasks = await sql<TreeTask[]>`
    SELECT t.id, t.root_id, t.ancestors, t.state,
      ${
        by === "workload"
          ? sql`t.workload_name = ${name}`
          : sql`coalesce(t.verified_initiator = ${name}, false)
              OR coalesce(t.claimed_initiator = ${name}, false)`
      } AS is_theirs
    FROM mayfly.tasks AS t WHERE t.root_id = ANY (${uuids(roots)}::text::uuid[])
    ORDER BY t.depth, t.id FOR NO KEY UPDATE OF t`;
  const leases = await sql<{ task_id: string; state: string }[]>`
    SELECT l.task_id, l.state FROM mayfly.leases AS l
    WHERE l.task_id = ANY (${uuids(tasks.map(({ id }) => id))}::text::uuid[])
    ORDER BY l.id FOR NO KEY UPDATE OF l`;
  const live = new Set(
    leases.filter(({ state }) => state !== "ended").map(({ task_id: task }) => task),
  );
  return { tasks, live };
}

interface SelectedRow {
  readonly table_name: ErasedTable;
  readonly id: string;
  readonly task: string | null;
  readonly columns: JsonObject;
  readonly erased_by: string | null;
}

const personalRow = (row: SelectedRow): PersonalRow => ({
  table: row.table_name,
  id: row.id,
  task: row.task,
  columns: row.columns,
  erasedBy: row.erased_by,
});

const selectRows = (table: ErasedTable): string => `
  SELECT '${table}' AS table_name, t.${idOf(table)} AS id, ${TASK_OF[table]} AS task,
    ${columnsOf(table)} AS columns, t.erased_by
  FROM mayfly.${table} AS t`;

/** Rows of these tasks that are no events. */
export async function readRowsOfTasks(
  sql: Statement,
  tasks: readonly string[],
): Promise<readonly PersonalRow[]> {
  const ids = uuids(tasks);
  const rows: PersonalRow[] = [];
  for (const table of ["tasks", "task_end_requests", "decisions", "leases"] as const) {
    const key = table === "tasks" ? "id" : "task_id";
    const found = await sql<SelectedRow[]>`
      ${sql.unsafe(selectRows(table))} WHERE t.${sql(key)} = ANY (${ids}::text::uuid[])`;
    rows.push(...found.map(personalRow));
  }
  return rows;
}

/** Locks them: whoever works with one of these holds its row. */
export async function lockLoners(
  sql: Statement,
  table: Exclude<ErasedTable, "events">,
  ids: readonly string[],
): Promise<readonly PersonalRow[]> {
  // An end by selector that goes on reads its reason; a lease without a task may still live.
  const isOver =
    table === "selector_ends"
      ? "t.finished_at IS NOT NULL"
      : table === "leases"
        ? "t.state = 'ended'"
        : "true";
  // Nobody may lock a decision: its rows never change.
  const lock = table === "decisions" ? "" : "FOR NO KEY UPDATE OF t";
  const found = await sql<SelectedRow[]>`
    ${sql.unsafe(selectRows(table))}
    WHERE t.${sql(idOf(table))} = ANY (${uuids(ids)}::text::uuid[]) AND ${sql.unsafe(isOver)}
    ORDER BY 2 ${sql.unsafe(lock)}`;
  return found.map(personalRow);
}

export interface PersonalEvent extends LoggedRow {
  /** UUID of the task that it belongs to. */
  readonly task: string | null;
}

const selectEvents = (sql: Statement, where: Fragment) =>
  sql<PersonalEvent[]>`
    SELECT t.id, t.kind, t.at, t.actor, t.task_id, t.lease_id, t.decision_id, t.data, t.salt,
      t.erased_by, n.leaf_hash, n.leaf_version, ${sql.unsafe(TASK_OF.events)} AS task
    FROM mayfly.events AS t LEFT JOIN mayfly.log_entries AS n ON n.event_id = t.id
    WHERE ${where} ORDER BY t.id`.execute();

export const readEventsOfTasks = (sql: Statement, tasks: readonly string[]) =>
  selectEvents(
    sql,
    sql`t.task_id = ANY (${uuids(tasks)}::text::uuid[]) OR t.lease_id IN (
      SELECT l.id FROM mayfly.leases AS l WHERE l.task_id = ANY (${uuids(tasks)}::text::uuid[]))`,
  );

export const readEvents = (sql: Statement, ids: readonly string[]) =>
  selectEvents(sql, sql`t.id = ANY (${uuids(ids)}::text::uuid[])`);
