import canonicalize from "canonicalize";
import type { EventId } from "@mayfly/spec";
import type { LoggedEvent } from "./leaf-hash.ts";

/**
 * Raised when a reader of the version before would misread what is written now: in version 2,
 * entries may have a salt, or an event from which values were erased. A ledger whose leaves are not
 * salted yet is written in version 1.
 */
export const EXPORT_VERSIONS = [1, 2] as const;

/** The line before the entries of a range: `until` is the first entry that is not in it. */
export interface ExportHeader {
  readonly mayfly_ledger_export: number;
  readonly installation: string;
  readonly schema_version: number;
  readonly from: number;
  readonly until: number;
  /** Chain hash before entry `from`. */
  readonly before_hash: string;
  /** Chain hash of entry `until - 1`; of an empty range `before_hash`. */
  readonly head_hash: string;
  /** How many entries the log had. */
  readonly log_entries: number;
  /** RFC 3339, UTC. */
  readonly exported_at: string;
}

interface EntryPlace {
  readonly log_index: number;
  readonly leaf_hash: string;
  readonly chain_hash: string;
}
/** One entry, with all that its hashes are made of. */
export type ExportEntry =
  | (EntryPlace & {
      readonly event_id: EventId;
      readonly event: LoggedEvent;
      /** Hex, where the leaf is made of it too. */
      readonly salt?: string;
      /** The event that tells that values were erased: the leaf is that of the event before. */
      readonly erased_by?: EventId;
    })
  /** An event that this ledger never writes: its row's text, and its UUID as it is. */
  | (EntryPlace & { readonly event_id: string; readonly raw: string });

export const HEADER_MEMBERS = [
  "mayfly_ledger_export",
  "installation",
  "schema_version",
  "from",
  "until",
  "before_hash",
  "head_hash",
  "log_entries",
  "exported_at",
] as const satisfies readonly (keyof ExportHeader)[];

/** Canonical JSON (RFC 8785), so that the bytes of `event` are those that its leaf is made of. */
export function exportLine(line: ExportHeader | ExportEntry): string {
  const text = canonicalize(line);
  if (text === undefined) throw new Error("a line of an export has no canonical form");
  return `${text}\n`;
}
