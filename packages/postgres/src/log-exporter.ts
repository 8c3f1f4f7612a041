import {
  BrokerError,
  idFromUuid,
  InvalidInput,
  type InstallationId,
  type InstantMs,
  type LogExporter,
  type LogRange,
} from "@mayfly/spec";
import { eventOfRow, type EventRow, type SaltedRow } from "./event-row.ts";
import { exportLine, type ExportEntry } from "./export-line.ts";
import { CHAIN_START } from "./leaf-hash.ts";
import { readLogCut } from "./log-cut.ts";
import { withRetries, type RetryPorts } from "./retry.ts";
import { rawTexts, rowLeaf } from "./row-leaf.ts";
import { hex, type Sql } from "./sql.ts";

/** Entries read at once: what an export holds in memory, whatever its length. */
const PAGE = 500;

interface ExportRow extends Omit<SaltedRow, "id"> {
  readonly log_index: number;
  readonly event_id: string;
  readonly leaf_hash: Uint8Array;
  readonly chain_hash: Uint8Array;
  readonly leaf_version: number;
  readonly erased_by: string | null;
  /** Null when the event of the entry is gone. */
  readonly id: string | null;
}
interface Range {
  readonly from: number;
  readonly until: number;
}

/**
 * Reads the auditor's views, so that the auditor can. The log only grows, so its pages need no
 * common snapshot.
 */
export function createLogExporter(
  sql: Sql,
  ports: RetryPorts,
  schema: { readonly installation: { readonly id: InstallationId }; readonly version: number },
): LogExporter {
  return {
    open: async (from, limit): Promise<LogRange> => {
      const header = await withRetries(ports, () => readHeader(sql, from, limit));
      const range = { from, until: header.until };
      const first = exportLine({
        mayfly_ledger_export: header.leaf_version,
        installation: schema.installation.id,
        schema_version: schema.version,
        from,
        until: header.until,
        before_hash: hex(header.before),
        head_hash: hex(header.head),
        log_entries: header.entries,
        exported_at: new Date(header.now).toISOString(),
      });
      return {
        ...range,
        logEntries: header.entries,
        pages: () => pagesOf(first, range, (page) => withRetries(ports, () => readPage(sql, page))),
      };
    },
  };
}

async function* pagesOf(
  header: string,
  { from, until }: Range,
  read: (page: Range) => Promise<readonly ExportEntry[]>,
): AsyncGenerator<string, void, undefined> {
  yield header;
  for (let at = from; at < until; at += PAGE) {
    const entries = await read({ from: at, until: Math.min(until, at + PAGE) });
    yield entries.map(exportLine).join("");
  }
}

interface HeaderRow {
  readonly entries: number;
  /** Of the leaves that are written; that of the format follows it. */
  readonly leaf_version: number;
  readonly now: InstantMs;
}
interface Header extends HeaderRow {
  readonly until: number;
  readonly before: Uint8Array;
  readonly head: Uint8Array;
}

async function readHeader(sql: Sql, from: number, limit: number): Promise<Header> {
  const [row] = await sql<HeaderRow[]>`
    SELECT entries::float8 AS entries, leaf_version, now() AS now FROM mayfly_audit.log_head`;
  if (row === undefined) throw damaged("the head of the log is missing");
  const cut = await readLogCut(sql);
  if (cut !== null && from < cut.logIndex) {
    const left = `entries before ${cut.logIndex} have left the ledger`;
    const message = `from: ${left}; they are in the files of that time`;
    throw new InvalidInput(message, {
      where: "from",
      public: { hint: `Begin at ${cut.logIndex}.` },
    });
  }
  if (from > row.entries) {
    throw new InvalidInput(`from: the log has ${row.entries} entries`, { where: "from" });
  }
  const until = Math.min(row.entries, from + limit);
  const hashes = await sql<{ next: number; chain_hash: Uint8Array }[]>`
    SELECT (log_index + 1)::float8 AS next, chain_hash FROM mayfly_audit.log_entries
    WHERE log_index IN (${from - 1}::float8::bigint, ${until - 1}::float8::bigint)`;
  const hashBefore = (next: number): Uint8Array => {
    if (next === 0) return CHAIN_START;
    const found = hashes.find((each) => each.next === next);
    if (found === undefined) throw damaged(`entry ${next - 1} of the log is missing`);
    return found.chain_hash;
  };
  return { ...row, until, before: hashBefore(from), head: hashBefore(until) };
}

async function readPage(sql: Sql, { from, until }: Range): Promise<readonly ExportEntry[]> {
  const rows = await sql<ExportRow[]>`
    SELECT l.log_index::float8 AS log_index, l.event_id, l.leaf_hash, l.chain_hash,
      l.leaf_version, e.id, e.kind, e.at, e.actor, e.task_id, e.lease_id, e.decision_id, e.data,
      e.salt, e.erased_by
    FROM mayfly_audit.log_entries AS l LEFT JOIN mayfly_audit.events AS e ON e.id = l.event_id
    WHERE l.log_index >= ${from}::float8::bigint AND l.log_index < ${until}::float8::bigint
    ORDER BY l.log_index`;
  const strange = rows.filter((row) => isThere(row) && rowLeaf(row, null) === null);
  const texts = await rawTexts(
    sql,
    strange.map((row) => row.event_id),
  );
  return Array.from({ length: until - from }, (_, offset) => {
    const index = from + offset;
    const row = rows[offset];
    if (row?.log_index !== index) throw damaged(`entry ${index} of the log is missing`);
    if (!isThere(row)) throw damaged(`the event of entry ${index} is missing`);
    return entryOf(row, texts.get(row.event_id) ?? null);
  });
}

const isThere = (row: ExportRow): row is ExportRow & EventRow => row.id !== null;

function entryOf(row: ExportRow & EventRow, raw: string | null): ExportEntry {
  const place = {
    log_index: row.log_index,
    leaf_hash: hex(row.leaf_hash),
    chain_hash: hex(row.chain_hash),
  };
  if (raw !== null) return { ...place, event_id: row.event_id, raw };
  const event = eventOfRow(row);
  const entry = { ...place, event_id: event.id, event };
  if (row.erased_by !== null) return { ...entry, erased_by: idFromUuid("event", row.erased_by) };
  const salt = row.leaf_version === 2 ? row.salt : null;
  return salt === null ? entry : { ...entry, salt: hex(salt) };
}

const damaged = (what: string): BrokerError =>
  new BrokerError("conflict", `The log cannot be exported whole: ${what}.`, {
    where: "ledger",
    public: { hint: "Run: mayfly ledger verify" },
  });
