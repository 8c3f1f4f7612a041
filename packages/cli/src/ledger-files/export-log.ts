import type { LogExporter } from "@mayfly/spec";
import { CliError } from "../cli-error.ts";
import { EXIT } from "../exit-codes.ts";
import type { Session } from "../session.ts";
import { openLineSink, type LineSink } from "./line-sink.ts";

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
  readonly head_hash: string;
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

export const brokerSource = (session: Session): RangeSource => ({
  read: (from, limit) =>
    session.api().stream("/v1/ledger/export", { from: String(from), limit: String(limit) }),
});

/** Range by range, to where the log ended when the first one was read. */
export async function exportLog(
  session: Session,
  source: RangeSource,
  options: ExportOptions,
): Promise<Exported> {
  const sink = await openLineSink(session, options.output);
  let done: Exported = { from: options.from, until: options.from, head_hash: "" };
  let end: number | null = null;
  let ranges = 0;
  try {
    do {
      ranges += 1;
      const left = (end ?? options.from + (options.limit ?? RANGE_MAX)) - done.until;
      const header = await copyRange(sink, source.read(done.until, Math.min(left, RANGE_MAX)));
      const asked = options.limit === null ? header.log_entries : options.from + options.limit;
      end ??= Math.min(header.log_entries, asked);
      done = { from: options.from, until: header.until, head_hash: header.head_hash };
    } while (done.until < end);
  } catch (error) {
    // Each range has one line, its header, that is no entry.
    throw withPlace(error, options.from + Math.max(0, sink.lines() - ranges));
  } finally {
    await sink.close();
  }
  return done;
}

interface HeaderRead {
  readonly until: number;
  readonly log_entries: number;
  readonly head_hash: string;
}

/** Copies bytes as they are; of all lines only the first is read. */
async function copyRange(sink: LineSink, pieces: AsyncIterable<Uint8Array>): Promise<HeaderRead> {
  const first: Uint8Array[] = [];
  let header: HeaderRead | null = null;
  for await (const piece of pieces) {
    if (header === null) {
      first.push(piece);
      header = readHeader(Buffer.concat(first));
    }
    await sink.write(piece);
  }
  if (header === null) throw notAnExport();
  return header;
}

const HEADER_BYTES_MAX = 4096;

/** Null while its line is not whole. */
function readHeader(bytes: Buffer): HeaderRead | null {
  const end = bytes.indexOf(0x0a);
  if (end === -1 && bytes.length < HEADER_BYTES_MAX) return null;
  try {
    const value: unknown = JSON.parse(bytes.toString("utf8", 0, end === -1 ? 0 : end));
    const members: Record<string, unknown> = { ...(typeof value === "object" ? value : {}) };
    const { until, log_entries: entries, head_hash: head } = members;
    if (typeof until === "number" && typeof entries === "number" && typeof head === "string") {
      return { until, log_entries: entries, head_hash: head };
    }
  } catch {
    // Told below, like any other first line that is no header.
  }
  throw notAnExport();
}

const notAnExport = (): CliError =>
  new CliError({
    code: "not_a_broker",
    what: "What was answered is no export of a ledger.",
    todo: "Use the version of `mayfly` that belongs to the broker.",
    exit: EXIT.unavailable,
  });

/** Where an export that broke off goes on. */
function withPlace(error: unknown, next: number): unknown {
  if (!(error instanceof CliError)) return error;
  return new CliError({ ...error.parts, more: { ...error.parts.more, next_entry: next } }, error);
}
