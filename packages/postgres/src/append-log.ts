import { eventOfRow, type EventRow } from "./event-row.ts";
import { chainHash, leafHash } from "./leaf-hash.ts";
import { hex, rows, uuids, type Sql, type Transaction } from "./sql.ts";

export const APPEND_MAX = 1000;

/**
 * Gives the next indices to events that have committed and have none. Whoever holds the head's row
 * appends; another one that comes meanwhile finds it locked and appends nothing.
 *
 * The queue is filled in the transaction of the event, so an event with an older id that commits
 * late is found just the same, and gets the next index.
 */
export function appendLog(sql: Sql, limit: number): Promise<number> {
  return sql.begin(async (tx) => {
    const [head] = await tx<{ entries: number; chain_hash: Uint8Array }[]>`
      SELECT entries::float8 AS entries, chain_hash FROM mayfly.log_head
      FOR UPDATE SKIP LOCKED`;
    if (head === undefined) return 0;
    const pending = await readPending(tx, Math.min(limit, APPEND_MAX));
    if (pending.length === 0) return 0;
    let chain: Uint8Array = head.chain_hash;
    const entries = pending.map((row, offset) => {
      const leaf = leafHash(eventOfRow(row));
      chain = chainHash(chain, leaf);
      return {
        log_index: head.entries + offset,
        event_id: row.id,
        leaf: hex(leaf),
        chain: hex(chain),
      };
    });
    await Promise.all([
      tx`
        INSERT INTO mayfly.log_entries (log_index, event_id, leaf_hash, chain_hash)
        SELECT log_index, event_id, decode(leaf, 'hex'), decode(chain, 'hex')
        FROM jsonb_to_recordset(${rows(entries)}::text::jsonb) AS e (
          log_index bigint, event_id uuid, leaf text, chain text)`.execute(),
      tx`
        SELECT mayfly.clear_sequenced(${uuids(pending.map((row) => row.id))}::text::uuid[])
        `.execute(),
      tx`
        UPDATE mayfly.log_head SET entries = ${head.entries + entries.length}::float8::bigint,
          chain_hash = decode(${hex(chain)}, 'hex')`.execute(),
    ]);
    return entries.length;
  });
}

const readPending = (sql: Transaction, limit: number) =>
  sql<EventRow[]>`
    SELECT e.id, e.kind, e.at, e.actor, e.task_id, e.lease_id, e.decision_id, e.data
    FROM (SELECT event_id FROM mayfly.events_pending ORDER BY event_id LIMIT ${limit}::integer) AS p
    JOIN mayfly.events AS e ON e.id = p.event_id
    ORDER BY e.id`;
