/** The log for whoever keeps and verifies it elsewhere; the format is docs/ledger-export.md. */
export interface LogExporter {
  /**
   * Entries from index `from` on, at most `limit`. A range that begins where the log ends is empty.
   * Throws `invalid_input` (beyond the log's end), `conflict` (an entry or its event is missing).
   */
  open(from: number, limit: number): Promise<LogRange>;
}
export interface LogRange {
  readonly from: number;
  /** The first entry that is not in it: where the next range begins. */
  readonly until: number;
  /** How many entries the log had. */
  readonly logEntries: number;
  /**
   * Newline-delimited JSON in pieces of whole lines, the header first. Each piece is read when it
   * is asked for, and nothing is held between two.
   */
  pages(): AsyncIterable<string>;
}
