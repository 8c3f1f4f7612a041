import type { Log } from "@mayfly/spec";
import type { SaltedRow } from "./event-row.ts";
import { chainHash } from "./leaf-hash.ts";
import { rawLeaves, rowLeaf } from "./row-leaf.ts";
import { hex, rows, uuids, type Sql, type Transaction } from "./sql.ts";

export const APPEND_MAX = 1000;

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
    let chain: Uint8Array = head.chain_hash;
    const entries = leaves.map(({ id, leaf, version }, offset) => {
      chain = chainHash(chain, leaf);
      return {
        log_index: head.entries + offset,
        event_id: id,
        leaf: hex(leaf),
        chain: hex(chain),
        version,
      };
    });
    await Promise.all([
      tx`
        INSERT INTO mayfly.log_entries
          (log_index, event_id, leaf_hash, chain_hash, leaf_version)
        SELECT log_index, event_id, decode(leaf, 'hex'), decode(chain, 'hex'), version
        FROM jsonb_to_recordset(${rows(entries)}::text::jsonb) AS e (
          log_index bigint, event_id uuid, leaf text, chain text, version smallint)`.execute(),
      tx`
        SELECT mayfly.clear_sequenced(${uuids(pending.map((row) => row.id))}::text::uuid[])
        `.execute(),
      tx`
        UPDATE mayfly.log_head SET entries = ${head.entries + entries.length}::float8::bigint,
          chain_hash = decode(${hex(chain)}, 'hex')`.execute(),
    ]);
    return { appended: entries.length, unreadable };
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

const readPending = (sql: Transaction, limit: number) =>
  sql<SaltedRow[]>`
    SELECT e.id, e.kind, e.at, e.actor, e.task_id, e.lease_id, e.decision_id, e.data, e.salt
    FROM (SELECT event_id FROM mayfly.events_pending ORDER BY event_id LIMIT ${limit}::integer) AS p
    JOIN mayfly.events AS e ON e.id = p.event_id
    ORDER BY e.id`;
