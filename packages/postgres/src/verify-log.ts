import type { LogVerification } from "@mayfly/spec";
import type { LogProblem } from "./compare-told-rows.ts";
import { eventOfRow, type EventRow } from "./event-row.ts";
import { CHAIN_START, chainHash, erasedEventSha256 } from "./leaf-hash.ts";
import { cutProblem, NIL_UUID, readLogCut, settledFromId, type LogCut } from "./log-cut.ts";
import { rawLeaves, rowLeaf } from "./row-leaf.ts";
import { hex, type Sql, type Transaction } from "./sql.ts";
import { findUntoldDecision, verifyDecisions } from "./verify-decisions.ts";
import { verifyErasures } from "./verify-erasures.ts";
import { findUntoldTask, verifyTasks } from "./verify-tasks.ts";
import { findMisstatedTimes } from "./verify-lease-times.ts";
import { findMisstatedEnd, verifyLeases } from "./verify-leases.ts";
import { findMisstatedSlots } from "./verify-slots.ts";

const PAGE = 1000;

interface EntryRow extends Omit<EventRow, "id" | "kind" | "at" | "actor" | "data"> {
  readonly log_index: number;
  readonly event_id: string;
  readonly leaf_hash: Uint8Array;
  readonly chain_hash: Uint8Array;
  /** Null when the event of the entry is gone. */
  readonly id: string | null;
  readonly kind: EventRow["kind"] | null;
  readonly at: EventRow["at"] | null;
  readonly actor: EventRow["actor"] | null;
  readonly data: EventRow["data"] | null;
  readonly leaf_version: number;
  readonly salt: Uint8Array | null;
  /** UUID of the event that tells that values were erased from this one. */
  readonly erased_by: string | null;
  /** What that event says of this one as it is since; null where there is no such event. */
  readonly erased_sha256: string | null;
  /** What the hash cannot see: an instant is hashed in whole milliseconds. */
  readonly at_altered: boolean;
}
interface HeadRow {
  readonly entries: number;
  readonly chain_hash: Uint8Array;
  readonly pending: number;
  readonly oldest_seconds: number | null;
}

/** A sequencer takes seconds. What waits may be altered before the log vouches for it. */
const PENDING_SECONDS_MAX = 600;

const warningOf = ({ pending, oldest_seconds: seconds }: HeadRow): string | null =>
  seconds === null || seconds <= PENDING_SECONDS_MAX
    ? null
    : `the log stands still: ${pending} events wait for their place, the oldest for ` +
      `${Math.floor(seconds / 60)} minutes; see that a worker runs`;

interface Position {
  readonly next: number;
  readonly chain: Uint8Array;
}
const problem = (logIndex: number, text: string): LogProblem => ({
  ok: false,
  logIndex,
  problem: text,
});
const same = (left: Uint8Array, right: Uint8Array): boolean => Buffer.compare(left, right) === 0;

/**
 * Reads all pages in one snapshot, so that what is appended meanwhile does not look wrong; and
 * reads the auditor's views, so that the auditor can.
 */
export function verifyLog(sql: Sql, from: number, withinMs: number): Promise<LogVerification> {
  return sql.begin("isolation level repeatable read read only", async (tx) => {
    await tx`SELECT set_config('statement_timeout', ${String(withinMs)}, true)`;
    const [head] = await tx<HeadRow[]>`
      SELECT h.entries::float8 AS entries, h.chain_hash, p.pending, p.oldest_seconds
      FROM mayfly_audit.log_head AS h, (
        SELECT count(*)::float8 AS pending,
          greatest(0, extract(epoch FROM now() - min(e.at)))::float8 AS oldest_seconds
        FROM mayfly_audit.events_pending AS q
        LEFT JOIN mayfly_audit.events AS e ON e.id = q.event_id) AS p`;
    if (head === undefined) return problem(0, "the head of the log is missing");
    const cut = await readLogCut(tx);
    const start = await startOf(tx, from, cut);
    if ("ok" in start) return start;
    const end = await verifyEntries(tx, start);
    if ("ok" in end) return end;
    if (head.entries > end.next) {
      return problem(end.next, `entry ${end.next} is missing: the log had ${head.entries} entries`);
    }
    if (head.entries < end.next) {
      return problem(head.entries, `entry ${head.entries} is one more than the log's head counts`);
    }
    if (!same(head.chain_hash, end.chain)) {
      return problem(Math.max(0, end.next - 1), "the head's hash is not that of the last entry");
    }
    const repeated = await findRepeated(tx, start.next);
    if (repeated !== null) return repeated;
    const keptFrom = cut?.keptFromId ?? NIL_UUID;
    const altered =
      (await verifyErasures(tx, end.next, keptFrom)) ??
      (await verifyTasks(tx, start.next, keptFrom)) ??
      (await verifyDecisions(tx, start.next, keptFrom)) ??
      (await verifyLeases(tx, start.next, keptFrom));
    if (altered !== null) return altered;
    const settledFrom = cut === null ? NIL_UUID : settledFromId(cut);
    const untold = from === 0 ? await findUntold(tx, end.next, settledFrom) : null;
    if (untold !== null) return untold;
    return {
      ok: true,
      from: start.next,
      entries: end.next - start.next,
      headSha256: hex(end.chain),
      pending: head.pending,
      oldestPendingSeconds: head.pending === 0 ? null : (head.oldest_seconds ?? 0),
      warning: warningOf(head),
    };
  });
}

/**
 * The chain hash before entry `from` is taken as it stands; from 0 on, nothing is but that of the
 * cut after which the log begins.
 */
async function startOf(
  sql: Transaction,
  from: number,
  cut: LogCut | null,
): Promise<Position | LogProblem> {
  if (cut !== null && from <= cut.logIndex) {
    const wrong = await cutProblem(sql, cut);
    return wrong ?? { next: cut.logIndex, chain: cut.chain };
  }
  if (from === 0) return { next: 0, chain: CHAIN_START };
  const [before] = await sql<{ chain_hash: Uint8Array }[]>`
    SELECT chain_hash FROM mayfly_audit.log_entries WHERE log_index = ${from - 1}::float8::bigint`;
  if (before === undefined) return problem(from - 1, `entry ${from - 1} is missing`);
  return { next: from, chain: before.chain_hash };
}

async function verifyEntries(sql: Transaction, start: Position): Promise<Position | LogProblem> {
  let at = start;
  for (;;) {
    const page = await readPage(sql, at.next);
    const leaves = await leavesOf(sql, page);
    for (const entry of page) {
      const next = verifyEntry(entry, leaves.get(entry.event_id) ?? null, at);
      if ("ok" in next) return next;
      at = next;
    }
    if (page.length < PAGE) return at;
  }
}

/** By the events' UUIDs; those of events that are there, and whole. */
async function leavesOf(sql: Transaction, page: readonly EntryRow[]) {
  const read = page
    .filter(isThere)
    .filter(({ erased_by: erasedBy }) => erasedBy === null)
    .map((row) => ({ id: row.id, leaf: rowLeaf(row, row.leaf_version === 2 ? row.salt : null) }));
  const unreadable = read.filter(({ leaf }) => leaf === null).map(({ id }) => id);
  const leaves = new Map(await rawLeaves(sql, unreadable));
  for (const { id, leaf } of read) if (leaf !== null) leaves.set(id, leaf);
  return leaves;
}

const isThere = (row: EntryRow): row is EntryRow & EventRow => row.id !== null;

function verifyEntry(
  entry: EntryRow,
  leaf: Uint8Array | null,
  { next, chain }: Position,
): Position | LogProblem {
  if (entry.log_index !== next) {
    return entry.log_index < next
      ? problem(entry.log_index, `entry ${entry.log_index} is there twice`)
      : problem(next, `entry ${next} is missing`);
  }
  if (!isThere(entry)) return problem(next, `the event of entry ${next} is missing`);
  if (entry.erased_by !== null) return verifyErased(entry, { next, chain });
  if (leaf === null || entry.at_altered || !same(leaf, entry.leaf_hash)) {
    return problem(next, `entry ${next} and its event differ: one of them was altered`);
  }
  if (!same(chainHash(chain, leaf), entry.chain_hash)) {
    return problem(next, `entry ${next} does not follow from the one before it`);
  }
  return { next: next + 1, chain: entry.chain_hash };
}

/** Its leaf cannot be computed any more, and is its link in the chain all the same. */
function verifyErased(
  entry: EntryRow & EventRow,
  { next, chain }: Position,
): Position | LogProblem {
  if (entry.erased_sha256 === null) {
    const says = `entry ${next} says that values were erased from it`;
    return problem(next, `${says}, and no event tells of that`);
  }
  if (entry.salt !== null) {
    return problem(next, `the salt of entry ${next} is there: what was erased could be guessed`);
  }
  if (entry.at_altered || erasedSha256(entry) !== entry.erased_sha256) {
    return problem(next, `entry ${next} was altered after values were erased from it`);
  }
  if (!same(chainHash(chain, entry.leaf_hash), entry.chain_hash)) {
    return problem(next, `entry ${next} does not follow from the one before it`);
  }
  return { next: next + 1, chain: entry.chain_hash };
}

/** Null for what cannot be read. */
function erasedSha256(row: EventRow): string | null {
  try {
    return erasedEventSha256(eventOfRow(row));
  } catch {
    return null;
  }
}

const readPage = (sql: Transaction, from: number) =>
  sql<EntryRow[]>`
    SELECT l.log_index::float8 AS log_index, l.event_id, l.leaf_hash, l.chain_hash,
      l.leaf_version, e.id, e.kind, e.at, e.actor, e.task_id, e.lease_id, e.decision_id, e.data,
      e.salt, e.erased_by, x.data #>> ARRAY['rows', 'events', e.id::text] AS erased_sha256,
      coalesce(e.at <> date_trunc('milliseconds', e.at), false) AS at_altered
    FROM (
      SELECT * FROM mayfly_audit.log_entries WHERE log_index >= ${from}::float8::bigint
      ORDER BY log_index LIMIT ${PAGE}::integer) AS l
    LEFT JOIN mayfly_audit.events AS e ON e.id = l.event_id
    LEFT JOIN mayfly_audit.events AS x ON x.id = e.erased_by AND x.kind = 'ledger.erased'
    ORDER BY l.log_index`;

async function findRepeated(sql: Transaction, from: number): Promise<LogProblem | null> {
  const [row] = await sql<{ log_index: number }[]>`
    SELECT max(log_index)::float8 AS log_index FROM mayfly_audit.log_entries
    WHERE log_index >= ${from}::float8::bigint
    GROUP BY event_id HAVING count(*) > 1 LIMIT 1`;
  if (row === undefined) return null;
  return problem(row.log_index, `entry ${row.log_index} repeats the event of an earlier one`);
}

/** What rows hold and the log does not tell: of no entry, so looked for over the whole alone. */
const findUntold = async (
  sql: Transaction,
  entries: number,
  fromId: string,
): Promise<LogProblem | null> =>
  (await findUnlogged(sql, entries)) ??
  (await findUntoldTask(sql, entries, fromId)) ??
  (await findUntoldDecision(sql, entries, fromId)) ??
  (await findMisstatedEnd(sql, entries, fromId)) ??
  (await findMisstatedTimes(sql, entries, fromId)) ??
  (await findMisstatedSlots(sql, entries, fromId));

/** An event that is neither in the log nor queued for it: somebody took its entry away. */
async function findUnlogged(sql: Transaction, entries: number): Promise<LogProblem | null> {
  const [row] = await sql<{ id: string }[]>`
    SELECT e.id FROM mayfly_audit.events AS e
    WHERE NOT EXISTS (SELECT FROM mayfly_audit.log_entries AS l WHERE l.event_id = e.id)
      AND NOT EXISTS (SELECT FROM mayfly_audit.events_pending AS p WHERE p.event_id = e.id)
    LIMIT 1`;
  if (row === undefined) return null;
  return problem(entries, `event ${row.id} is neither in the log nor waiting for it`);
}
