import type { Log } from "@mayfly/spec";
import type { SaltedRow } from "./event-row.ts";
import { chainHash } from "./leaf-hash.ts";
import { rawLeaves, rowLeaf } from "./row-leaf.ts";
import { uuids, type Sql, type Transaction } from "./sql.ts";

export const APPEND_MAX = 1000;
/** Of SHA-256. */
const HASH_BYTES = 32;

/**
 * Gives the next indices to events that have committed and have none. Whoever holds the head's row
 * appends; another one that comes meanwhile finds it locked and appends nothing.
 *
 * The queue is filled in the transaction of the event, so an event with an older id that commits
 * late is found just the same, and gets the next index. One that cannot be read is hashed as the
 * server writes it, and reported: whoever wrote it got past this package.
 *
 * The head says whether leaves are salted: not before all processes know salts. An event from
 * before there were any has none, and a leaf of version 1 for good.
 */
export async function appendLog(sql: Sql, limit: number, log: Log): Promise<number> {
  const { appended, unreadable } = await appendPending(sql, limit);
  if (unreadable.length > 0) {
    log.error("events that this ledger never writes were put in the log as they are", {
      count: unreadable.length,
      some: unreadable.slice(0, 20),
    });
  }
  return appended;
}

interface Appended {
  readonly appended: number;
  /** Their UUIDs. */
  readonly unreadable: readonly string[];
}
const NOTHING: Appended = { appended: 0, unreadable: [] };

function appendPending(sql: Sql, limit: number): Promise<Appended> {
  return sql.begin(async (tx) => {
    const [head] = await tx<{ entries: number; chain_hash: Uint8Array; leaf_version: number }[]>`
      SELECT entries::float8 AS entries, chain_hash, leaf_version FROM mayfly.log_head
      FOR UPDATE SKIP LOCKED`;
    if (head === undefined) return NOTHING;
    const pending = await readPending(tx, Math.min(limit, APPEND_MAX));
    if (pending.length === 0) return NOTHING;
    const { leaves, unreadable } = await leavesOf(tx, pending, head.leaf_version === 2);
    const chain = chained(head.chain_hash, leaves);
    const last = chain.at(-1) ?? head.chain_hash;
    await Promise.all([
      insertEntries(tx, head.entries, leaves, chain).execute(),
      tx`
        SELECT mayfly.clear_sequenced(${uuids(pending.map((row) => row.id))}::text::uuid[])
        `.execute(),
      tx`
        UPDATE mayfly.log_head SET entries = ${head.entries + leaves.length}::float8::bigint,
          chain_hash = ${last}::bytea`.execute(),
    ]);
    return { appended: leaves.length, unreadable };
  });
}

interface Leaf {
  /** UUID of the event. */
  readonly id: string;
  readonly leaf: Uint8Array;
  readonly version: 1 | 2;
}

async function leavesOf(sql: Transaction, pending: readonly SaltedRow[], isSalted: boolean) {
  const read = pending.map((row) => {
    const salt = isSalted ? row.salt : null;
    return { id: row.id, leaf: rowLeaf(row, salt), version: salt === null ? 1 : 2 } as const;
  });
  const unreadable = read.filter(({ leaf }) => leaf === null).map(({ id }) => id);
  const raw = await rawLeaves(sql, unreadable);
  const leaves = read.flatMap(({ id, leaf, version }): readonly Leaf[] => {
    if (leaf !== null) return [{ id, leaf, version }];
    const found = raw.get(id);
    return found === undefined ? [] : [{ id, leaf: found, version: 1 }];
  });
  return { leaves, unreadable };
}

/** The chain hash of each leaf. */
function chained(before: Uint8Array, leaves: readonly Leaf[]): readonly Uint8Array[] {
  let last = before;
  return leaves.map(({ leaf }) => (last = chainHash(last, leaf)));
}

/**
 * The hashes as two long strings of bytes, of which each entry takes its own 32: as JSON they were
 * twice as long in hex, and half of the statement's time went into reading it.
 */
const insertEntries = (
  sql: Transaction,
  from: number,
  leaves: readonly Leaf[],
  chain: readonly Uint8Array[],
) => sql`
  INSERT INTO mayfly.log_entries (log_index, event_id, leaf_hash, chain_hash, leaf_version)
  SELECT ${from}::float8::bigint + e.place, e.event_id,
    substring(${Buffer.concat(leaves.map(({ leaf }) => leaf))}::bytea
      FROM 1 + ${HASH_BYTES}::integer * e.place FOR ${HASH_BYTES}::integer),
    substring(${Buffer.concat(chain)}::bytea
      FROM 1 + ${HASH_BYTES}::integer * e.place FOR ${HASH_BYTES}::integer),
    e.version
  FROM (
    SELECT event_id, version, (place - 1)::integer AS place
    FROM unnest(${uuids(leaves.map(({ id }) => id))}::text::uuid[],
      ${`{${leaves.map(({ version }) => version).join(",")}}`}::text::smallint[])
      WITH ORDINALITY AS given (event_id, version, place)) AS e`;

/**
 * By their ids, and between the first and the last of them: so the months that have none are not
 * looked at, and one walk along the index of the others finds all.
 */
const readPending = (sql: Transaction, limit: number) =>
  sql<SaltedRow[]>`
    WITH pending AS MATERIALIZED (
      SELECT event_id FROM mayfly.events_pending ORDER BY event_id LIMIT ${limit}::integer
    )
    SELECT e.id, e.kind, e.at, e.actor, e.task_id, e.lease_id, e.decision_id, e.data, e.salt
    FROM mayfly.events AS e
    WHERE e.id = ANY (ARRAY(SELECT event_id FROM pending))
      AND e.id >= (SELECT event_id FROM pending ORDER BY event_id LIMIT 1)
      AND e.id <= (SELECT event_id FROM pending ORDER BY event_id DESC LIMIT 1)
    ORDER BY e.id`;
