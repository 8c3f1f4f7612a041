import { parseShallowJson } from "@mayfly/spec";
import { CliError } from "../cli-error.ts";
import { EXIT } from "../exit-codes.ts";
import type { LineSink } from "./line-sink.ts";

/** What the command reads of a range's header. */
export interface CopiedRange {
  readonly until: number;
  readonly log_entries: number;
}

/** A log on its way into a sink: whole lines alone, so that what broke off can be gone on with. */
export interface LogCopy {
  /** The first entry that was not written. */
  next(): number;
  /** Chain hash of the last one that was; before it what the first header says; else null. */
  head(): string | null;
  /** Copies bytes as they are; of all lines only the header and the last entry are read. */
  range(pieces: AsyncIterable<Uint8Array>): Promise<CopiedRange>;
  /** The same of one that is in memory: written whole, or not at all; without entries, once. */
  wholeRange(bytes: Buffer): Promise<CopiedRange>;
}

interface Header extends CopiedRange {
  readonly from: number;
  readonly before: string;
}

const LINE_FEED = 0x0a;
const HEADER_BYTES_MAX = 4096;
/** Of one line, as `ledger verify` has it. */
const LINE_BYTES_MAX = 16 * 1024 * 1024;

export function createLogCopy(sink: LineSink, from: number): LogCopy {
  let [next, headers] = [from, 0];
  let before: string | null = null;
  let lastLine: Buffer | null = null;
  const write = async (whole: Buffer): Promise<void> => {
    if (whole.length === 0) return;
    await sink.write(whole);
    next = from + Math.max(0, sink.lines() - headers);
    lastLine = whole.subarray(whole.lastIndexOf(LINE_FEED, -2) + 1);
  };
  return {
    next: () => next,
    head: () => (next === from || lastLine === null ? before : chainHashOf(lastLine)),
    wholeRange: async (bytes) => {
      const header = readHeader(bytes);
      if (header === null) throw notAnExport();
      if (header.until === header.from && before !== null) return header;
      const entries = bytes.reduce((count, byte) => count + (byte === LINE_FEED ? 1 : 0), -1);
      if (entries < header.until - header.from) throw cutOff(header.from + entries);
      headers += 1;
      before ??= header.before;
      await write(bytes);
      return header;
    },
    range: async (pieces) => {
      let rest: Buffer = Buffer.alloc(0);
      let header: Header | null = null;
      for await (const piece of pieces) {
        rest = Buffer.concat([rest, piece]);
        if (rest.length > LINE_BYTES_MAX + piece.length) throw notAnExport();
        if (header === null) {
          header = readHeader(rest);
          if (header === null) continue;
          headers += 1;
          before ??= header.before;
        }
        const end = rest.lastIndexOf(LINE_FEED) + 1;
        await write(rest.subarray(0, end));
        rest = rest.subarray(end);
      }
      if (header === null) throw notAnExport();
      if (next < header.until) throw cutOff(next);
      return header;
    },
  };
}

/** Null while its line is not whole. */
function readHeader(bytes: Buffer): Header | null {
  const end = bytes.indexOf(LINE_FEED);
  if (end === -1 && bytes.length < HEADER_BYTES_MAX) return null;
  const { from, until, log_entries: entries, before_hash: before } = membersOf(bytes, end);
  if (typeof from !== "number" || typeof until !== "number") throw notAnExport();
  if (typeof entries !== "number" || typeof before !== "string") throw notAnExport();
  return { from, until, log_entries: entries, before };
}

function chainHashOf(line: Buffer): string {
  const { chain_hash: hash } = membersOf(line, line.length - 1);
  if (typeof hash !== "string") throw notAnExport();
  return hash;
}

function membersOf(bytes: Buffer, end: number): Readonly<Record<string, unknown>> {
  try {
    const value = parseShallowJson(bytes.toString("utf8", 0, Math.max(0, end)));
    return { ...(typeof value === "object" ? value : {}) };
  } catch {
    return {};
  }
}

const cutOff = (next: number): CliError =>
  new CliError({
    code: "broker_unreachable",
    what: `The answer ends before entry ${next}, which it promised.`,
    todo: "Go on from where it ended.",
    exit: EXIT.unavailable,
  });

const notAnExport = (): CliError =>
  new CliError({
    code: "not_a_broker",
    what: "What was answered is no export of a ledger.",
    todo: "Use the version of `mayfly` that belongs to the broker.",
    exit: EXIT.unavailable,
  });
