import { createHash } from "node:crypto";
import { eventOfRow, type EventRow } from "./event-row.ts";
import { leafHash } from "./leaf-hash.ts";
import { uuids, type Statement } from "./sql.ts";

/** Null for what this package never writes, such as an id that is no UUIDv7. */
export function rowLeaf(row: EventRow, salt: Uint8Array | null): Uint8Array | null {
  try {
    return leafHash(eventOfRow(row), salt);
  } catch {
    return null;
  }
}

/** Neither a leaf nor a node of RFC 6962: what is hashed raw is never taken for what was read. */
const RAW_PREFIX = Uint8Array.of(2);

/**
 * The leaves of events that cannot be read, by their UUIDs: SHA-256(0x02 ‖ the row as the server
 * writes it, in UTC). So they get a place in the log, and stop nobody else from getting one.
 */
export async function rawLeaves(
  sql: Statement,
  ids: readonly string[],
): Promise<ReadonlyMap<string, Uint8Array>> {
  const found = await rawTexts(sql, ids);
  return new Map([...found].map(([id, text]) => [id, hashRaw(text)]));
}

/** What {@link rawLeaves} hashes. */
export async function rawTexts(
  sql: Statement,
  ids: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  if (ids.length === 0) return new Map();
  const found = await sql<{ id: string; text: string }[]>`
    SELECT e.id, jsonb_build_array(e.id, e.kind, e.at, e.actor, e.task_id, e.lease_id,
      e.decision_id, e.data)::text AS text
    FROM mayfly_audit.events AS e WHERE e.id = ANY (${uuids(ids)}::text::uuid[])`;
  return new Map(found.map(({ id, text }) => [id, text]));
}

export const hashRaw = (text: string): Uint8Array =>
  createHash("sha256").update(RAW_PREFIX).update(text, "utf8").digest();
