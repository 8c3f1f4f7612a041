import type { JsonObject } from "@mayfly/spec";
import { MIGRATOR } from "./append-events.ts";
import { erasedRowSha256, type ErasedRow } from "./erased-row-sha256.ts";
import { eventOfRow } from "./event-row.ts";
import {
  changeOf,
  mustBeWhole,
  withoutDigests,
  type ErasedTable,
  type PersonalRow,
  type RowChange,
} from "./erasure-rows.ts";
import {
  lockLoners,
  lockTrees,
  readEvents,
  readEventsOfTasks,
  readRowsOfTasks,
  type Loner,
  type PersonalEvent,
  type TreeTask,
} from "./find-personal-rows.ts";
import { erasedEventSha256 } from "./leaf-hash.ts";
import type { Extent, PersonSelector } from "./personal-values.ts";
import { json, rows, uuids, type Transaction } from "./sql.ts";

/** Rows that one event `ledger.erased` lists. */
export const LISTED_MAX = 200;

/** Why something of the person stays for now. */
export type Skipped = "live" | "not_logged" | "unreadable";

export interface BatchDone {
  /** Rows, by table. */
  readonly erased: Readonly<Record<ErasedTable, number>>;
  /** Of the events: their leaf hash was made without a salt, and could confirm a guess. */
  readonly unsalted: number;
  /** Trees of tasks, and rows of no task. */
  readonly skipped: Readonly<Record<Skipped, number>>;
}

export interface Erasing {
  readonly selector: PersonSelector;
  readonly reason: string;
  /** Says what would be done, and does none of it. */
  readonly dryRun: boolean;
}

/** Whole trees of tasks in one transaction: a child may name nobody, and is found by its parent. */
export async function eraseTrees(
  sql: Transaction,
  roots: readonly string[],
  erasing: Erasing,
): Promise<BatchDone> {
  const { tasks, live } = await lockTrees(sql, roots, erasing.selector);
  const found = await readEventsOfTasks(
    sql,
    tasks.map(({ id }) => id),
  );
  const skipped = { live: 0, not_logged: 0, unreadable: 0 };
  const changes: RowChange[] = [];
  const unsalted = new Set<string>();
  for (const tree of Map.groupBy(tasks, ({ root_id: root }) => root).values()) {
    const ids = new Set(tree.map(({ id }) => id));
    const events = found.filter(({ task }) => task !== null && ids.has(task));
    const why = whyNot(tree, live, events);
    if (why !== null) skipped[why]++;
    else {
      const theirs = theirsOf(tree);
      const read = await readRowsOfTasks(sql, [...ids]);
      const extent = (task: string | null): Extent =>
        task !== null && theirs.has(task) ? "all" : "name";
      changes.push(...changesOf(read, events, extent, erasing.selector, unsalted));
    }
  }
  return { ...(await write(sql, changes, unsalted, erasing)), skipped };
}

/** Rows that belong to no task; a decision together with its events, as of a task of its own. */
export async function eraseLoners(
  sql: Transaction,
  loners: readonly Loner[],
  erasing: Erasing,
): Promise<BatchDone> {
  const skipped = { live: 0, not_logged: 0, unreadable: 0 };
  const locked = new Map<string, PersonalRow>();
  for (const [table, some] of Map.groupBy(loners, ({ table: each }) => each)) {
    if (table === "events") continue;
    const ids = some.map(({ id }) => id);
    for (const row of await lockLoners(sql, table, ids)) locked.set(`${table} ${row.id}`, row);
  }
  const events = await readEvents(
    sql,
    loners.flatMap(({ table, id, events: told }) => (table === "events" ? [id] : told)),
  );
  const changes: RowChange[] = [];
  const unsalted = new Set<string>();
  for (const { table, id, events: told } of loners) {
    const row = locked.get(`${table} ${id}`);
    const own = events.filter((event) =>
      table === "events" ? event.id === id : told.includes(event.id),
    );
    const why = row === undefined && table !== "events" ? "live" : whyNot([], new Set(), own);
    if (why !== null) skipped[why]++;
    else {
      const read = row === undefined ? [] : [row];
      const extent = (): Extent => (table === "decisions" ? "all" : "name");
      changes.push(...changesOf(read, own, extent, erasing.selector, unsalted));
    }
  }
  return { ...(await write(sql, changes, unsalted, erasing)), skipped };
}

function whyNot(
  tree: readonly TreeTask[],
  live: ReadonlySet<string>,
  events: readonly PersonalEvent[],
): Skipped | null {
  if (tree.some(({ id, state }) => state === "active" || live.has(id))) return "live";
  if (events.some(({ leaf_hash: leaf }) => leaf === null)) return "not_logged";
  return events.every(mustBeWhole) ? null : "unreadable";
}

/** What was done below a task of the person was done for the person. */
function theirsOf(tree: readonly TreeTask[]): ReadonlySet<string> {
  const own = new Set(tree.filter(({ is_theirs: is }) => is).map(({ id }) => id));
  const below = tree.filter(({ ancestors }) => ancestors.some((id) => own.has(id)));
  return new Set([...own, ...below.map(({ id }) => id)]);
}

function changesOf(
  read: readonly PersonalRow[],
  events: readonly PersonalEvent[],
  extent: (task: string | null) => Extent,
  selector: PersonSelector,
  unsalted: Set<string>,
): readonly RowChange[] {
  const changes = read.flatMap((row) => changeOf(row, null, extent(row.task), selector) ?? []);
  const changed = new Set(changes.map(({ row }) => `${row.table} ${row.id}`));
  const told = events.flatMap((event): readonly RowChange[] => {
    const { id, kind, task, actor, data, erased_by: erasedBy } = event;
    const columns = { actor: { ...actor }, data };
    const row: PersonalRow = { table: "events", id, task, columns, erasedBy };
    const change = changeOf(row, kind, extent(task), selector);
    const isDigestOf =
      (kind === "task.opened" && changed.has(`tasks ${event.task_id}`)) ||
      (kind.startsWith("decision.") && changed.has(`decisions ${event.decision_id}`));
    const whole = isDigestOf ? withoutDigests(change ?? { row, columns: {} }) : change;
    if (whole === null || Object.keys(whole.columns).length === 0) return [];
    if (event.leaf_version === 1 && erasedBy === null) unsalted.add(id);
    return [whole];
  });
  return [...changes, ...told];
}

const countByTable = (changes: readonly RowChange[]): Record<ErasedTable, number> => {
  const count = (table: ErasedTable): number =>
    changes.filter(({ row }) => row.table === table).length;
  return {
    tasks: count("tasks"),
    task_end_requests: count("task_end_requests"),
    decisions: count("decisions"),
    leases: count("leases"),
    events: count("events"),
    selector_ends: count("selector_ends"),
  };
};

async function write(
  sql: Transaction,
  changes: readonly RowChange[],
  unsalted: ReadonlySet<string>,
  erasing: Erasing,
): Promise<Omit<BatchDone, "skipped">> {
  if (!erasing.dryRun) {
    for (let at = 0; at < changes.length; at += LISTED_MAX) {
      await writeListed(sql, changes.slice(at, at + LISTED_MAX), unsalted, erasing);
    }
  }
  return { erased: countByTable(changes), unsalted: unsalted.size };
}

/** Some rows, and the event that lists each of them as it is from now on. */
async function writeListed(
  sql: Transaction,
  changes: readonly RowChange[],
  unsalted: ReadonlySet<string>,
  { selector, reason }: Erasing,
): Promise<void> {
  const [minted] = await sql<{ id: string }[]>`SELECT mayfly.uuid7() AS id`;
  const erasure = minted?.id ?? "";
  const wanted = changes.map(({ row, columns }) => ({ table: row.table, id: row.id, columns }));
  await sql`SELECT mayfly.erase_rows(${erasure}::uuid, ${rows(wanted)}::text::jsonb)`;
  const digests = await readDigests(sql, changes);
  const previous = changes.filter(({ row }) => row.erasedBy !== null);
  const data = {
    by: selector.by,
    reason,
    counts: countByTable(changes),
    unsalted: changes.filter(({ row }) => unsalted.has(row.id)).length,
    rows: digests,
    ...(previous.length === 0
      ? {}
      : { previous: nested(previous.map(({ row }) => [row.table, row.id, row.erasedBy])) }),
  };
  await sql`
    INSERT INTO mayfly.events (id, kind, actor, data)
    VALUES (${erasure}::uuid, 'ledger.erased', ${json(MIGRATOR)}::text::jsonb,
      ${json(data)}::text::jsonb)`;
}

/** Read back, as whoever verifies will read them. */
async function readDigests(sql: Transaction, changes: readonly RowChange[]): Promise<JsonObject> {
  const ofTable = (isEvent: boolean): readonly string[] =>
    changes.filter(({ row }) => (row.table === "events") === isEvent).map(({ row }) => row.id);
  const events = await readEvents(sql, ofTable(true));
  const others = await sql<ErasedRow[]>`
    SELECT table_name, id, content FROM mayfly_audit.erased_rows
    WHERE id = ANY (${uuids(ofTable(false))}::text::uuid[])`;
  const changed = new Set(changes.map(({ row }) => `${row.table} ${row.id}`));
  return nested([
    ...events.map((event) => ["events", event.id, erasedEventSha256(eventOfRow(event))] as const),
    ...others
      .filter((row) => changed.has(`${row.table_name} ${row.id}`))
      .map((row) => [row.table_name, row.id, erasedRowSha256(row)] as const),
  ]);
}

function nested(entries: readonly (readonly [string, string, string | null])[]): JsonObject {
  const tables = Map.groupBy(entries, ([table]) => table);
  return Object.fromEntries(
    [...tables].map(([table, members]) => [
      table,
      Object.fromEntries(members.map(([, id, value]) => [id, value])),
    ]),
  );
}
