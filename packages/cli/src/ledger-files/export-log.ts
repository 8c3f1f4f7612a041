import type { LogExporter } from "@mayfly/spec";
import { CliError } from "../cli-error.ts";
import type { Session } from "../session.ts";
import { openLineSink } from "./line-sink.ts";
import { createLogCopy } from "./log-copy.ts";

export interface ExportOptions {
  readonly from: number;
  readonly limit: number | null;
  readonly output: string | null;
}

/** What one range needs of where it comes from: the database or the broker. */
export interface RangeSource {
  /** Pieces of whole lines in all; a piece may end within one. */
  read(from: number, limit: number): AsyncIterable<Uint8Array>;
}

export interface Exported {
  readonly from: number;
  readonly until: number;
  /** Null: nothing was read. */
  readonly head_hash: string | null;
}

/** Entries of one range: what a broker answers at once. */
const RANGE_MAX = 100_000;

export const databaseSource = (exporter: LogExporter): RangeSource => ({
  read: async function* (from, limit) {
    const encoder = new TextEncoder();
    const range = await exporter.open(from, limit);
    for await (const page of range.pages()) yield encoder.encode(page);
  },
});

export const brokerSource = (session: Session): RangeSource => {
  const api = session.api();
  return {
    read: (from, limit) =>
      api.stream("/v1/ledger/export", { from: String(from), limit: String(limit) }),
  };
};

/** Range by range, to where the log ended when the first one was read. */
export async function exportLog(
  session: Session,
  source: RangeSource,
  options: ExportOptions,
): Promise<Exported> {
  const { from, limit, output } = options;
  const sink = await openLineSink(session, output);
  const copy = createLogCopy(sink, from);
  let next = from;
  let end: number | null = null;
  try {
    do {
      const left = (end ?? from + (limit ?? RANGE_MAX)) - next;
      const pieces = source.read(next, Math.min(left, RANGE_MAX));
      const range = await copy.range(pieces);
      end ??= Math.min(range.log_entries, limit === null ? range.log_entries : from + limit);
      next = range.until;
    } while (next < end);
  } catch (error) {
    throw withPlace(error, copy.next());
  } finally {
    await sink.close();
  }
  return { from, until: next, head_hash: copy.head() };
}

/** Where an export that broke off goes on. */
export function withPlace(error: unknown, next: number): unknown {
  if (!(error instanceof CliError)) return error;
  return new CliError({ ...error.parts, more: { ...error.parts.more, next_entry: next } }, error);
}
