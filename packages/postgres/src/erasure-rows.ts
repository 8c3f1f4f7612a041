import { BrokerError, type Actor, type EventKind, type JsonObject } from "@mayfly/spec";
import type { SaltedRow } from "./event-row.ts";
import { rowLeaf } from "./row-leaf.ts";
import {
  ERASED,
  eraseActor,
  eraseEventData,
  eraseValues,
  IMPERSONAL_OF_COLUMNS,
  isName,
  type Extent,
  type PersonSelector,
} from "./personal-values.ts";

export const ERASED_TABLES = [
  "tasks",
  "task_end_requests",
  "decisions",
  "leases",
  "events",
  "selector_ends",
] as const;
export type ErasedTable = (typeof ERASED_TABLES)[number];

/** The columns that may hold a person's values: those that `mayfly.erase_rows` lets change. */
export const PERSONAL_COLUMNS = {
  tasks: [
    "workload",
    "workload_name",
    "verified_initiator",
    "claimed_initiator",
    "ref",
    "descriptor",
    "confirmation",
    "end_reason",
  ],
  task_end_requests: ["actor", "reason"],
  decisions: ["workload", "request", "verdict"],
  leases: ["workload", "plan", "end_reason", "last_error", "looked"],
  events: ["actor", "data"],
  selector_ends: ["selector", "actor", "reason"],
} as const satisfies Readonly<Record<ErasedTable, readonly string[]>>;

/** What no longer has a use, and would confirm a guess: gone when anything of the row is. */
const NULLED: Readonly<Partial<Record<ErasedTable, readonly string[]>>> = {
  leases: ["idempotency_scope", "idempotency_key"],
  events: ["salt"],
};

/** A row that may hold values of the person. */
export interface PersonalRow {
  readonly table: ErasedTable;
  readonly id: string;
  /** UUID of the task that it belongs to; null: of none. */
  readonly task: string | null;
  /** Its personal columns, as JSON. */
  readonly columns: JsonObject;
  readonly erasedBy: string | null;
}

export interface RowChange {
  readonly row: PersonalRow;
  readonly columns: JsonObject;
}

/** An event with its entry in the log; null: it has no place yet. */
export interface LoggedRow extends SaltedRow {
  readonly leaf_hash: Uint8Array | null;
  readonly leaf_version: number | null;
  readonly erased_by: string | null;
}

/** What becomes of a row, or null where it has nothing of the person. */
export function changeOf(
  row: PersonalRow,
  kind: EventKind | null,
  extent: Extent,
  selector: PersonSelector,
): RowChange | null {
  const { table, columns } = row;
  const changed = Object.entries(columns).flatMap(([name, value]): [string, unknown][] => {
    const erased = eraseColumn({ table, name, kind }, value, extent, selector);
    return JSON.stringify(erased) === JSON.stringify(value) ? [] : [[name, erased]];
  });
  if (changed.length === 0) return null;
  const nulled = (NULLED[table] ?? []).map((name): [string, null] => [name, null]);
  return { row, columns: Object.fromEntries([...changed, ...nulled]) as JsonObject };
}

interface Column {
  readonly table: ErasedTable;
  readonly name: string;
  /** Of an event. */
  readonly kind: EventKind | null;
}

function eraseColumn(
  { table, name, kind }: Column,
  value: unknown,
  extent: Extent,
  selector: PersonSelector,
): unknown {
  if (value === null || value === undefined) return null;
  // What is in these columns was written by this package.
  if (name === "actor") return eraseActor(value as Actor, extent, selector);
  if (kind !== null) return eraseEventData(kind, value as JsonObject, extent, selector);
  if (typeof value === "string") {
    return extent === "all" || isName(value, selector) ? ERASED : value;
  }
  return eraseValues(value, IMPERSONAL_OF_COLUMNS[`${table}.${name}`] ?? [], extent, selector);
}

/**
 * Digests in events of rows that change: they would confirm a guess, and are true no more. The
 * erasure vouches for these rows from now on.
 */
export function withoutDigests(change: RowChange): RowChange {
  const data = change.columns["data"] ?? change.row.columns["data"];
  if (!isObject(data)) return change;
  const gone = ["taskSha256", "decisionSha256"].filter((name) => name in data);
  if (gone.length === 0) return change;
  const markers = Object.fromEntries(gone.map((name) => [name, ERASED]));
  return { ...change, columns: { ...change.columns, data: { ...data, ...markers }, salt: null } };
}

const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Null for an event of somebody else, which this package cannot read. */
export function mustBeWhole(row: LoggedRow): boolean {
  if (row.erased_by !== null) return true;
  const leaf = rowLeaf(row, row.leaf_version === 2 ? row.salt : null);
  if (leaf === null) return false;
  if (row.leaf_hash !== null && Buffer.compare(leaf, row.leaf_hash) === 0) return true;
  throw new BrokerError("check_failed", `Event ${row.id} is not what the log says of it.`, {
    where: "ledger",
    public: { hint: "Nothing of it was erased. Run: mayfly ledger verify" },
  });
}
