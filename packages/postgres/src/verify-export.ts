import { isDeepStrictEqual } from "node:util";
import { ERASED_WAITING_MAX, ErasedEntries } from "./erased-entries.ts";
import type { ExportEntry, ExportHeader } from "./export-line.ts";
import { CHAIN_START, chainHash, leafHash } from "./leaf-hash.ts";
import { parseExportLine, type ParsedLine } from "./parse-export-line.ts";
import { PROMISED_MAX, PromisedHeads } from "./promised-heads.ts";
import { hashRaw } from "./row-leaf.ts";
import { hex } from "./sql.ts";

/** One line of one of the files, in their order. */
export interface ExportedLine {
  readonly file: string;
  /** From 1; 0 with a `text` of nothing for a file that is empty. */
  readonly line: number;
  readonly text: string;
  /** Whether a line feed ends it; the last one of a file that was cut has none. */
  readonly ended: boolean;
}

/** What the reader knows already, from elsewhere: without these, the files say it themselves. */
export interface KnownFacts {
  /** Whose log it is. */
  readonly installation: string | null;
  /** Chain hash before the first entry. */
  readonly before: string | null;
  /** Chain hash of the last one. */
  readonly head: string | null;
}

export type ExportVerification =
  | {
      readonly ok: true;
      readonly installation: string;
      /** Whether an entry, or the reader, says so too: else it is the header's word alone. */
      readonly isInstallationVouched: boolean;
      readonly from: number;
      /** The first entry that is not in the files: where the next export begins. */
      readonly until: number;
      readonly beforeSha256: string;
      readonly headSha256: string;
      /**
       * Entries from which values were erased, where the event that tells of it comes after the
       * files: that they are as the erasure left them is the files' own word.
       */
      readonly unvouched: number;
    }
  | {
      readonly ok: false;
      readonly file: string;
      readonly line: number;
      /** The entry that is missing or wrong; null where the line belongs to none. */
      readonly logIndex: number | null;
      readonly problem: string;
    };

interface Place {
  readonly file: string;
  readonly line: number;
}
interface State {
  readonly installation: string;
  readonly isInstallationVouched: boolean;
  readonly from: number;
  readonly before: string;
  readonly next: number;
  readonly chain: string;
  /** Of the range that is being read. */
  readonly header: ExportHeader;
  readonly place: Place;
  /** Of ranges that broke off: what their headers say stands at their end. */
  readonly promised: PromisedHeads;
  readonly erased: ErasedEntries<Place>;
}
type Wrong = Extract<ExportVerification, { ok: false }>;

const START = hex(CHAIN_START);
const EVENT_ID = /^evt_[0-9a-f]{32}$/;

const wrong = (place: Place, logIndex: number | null, problem: string): Wrong => ({
  ok: false,
  file: place.file,
  line: place.line,
  logIndex,
  problem,
});

/**
 * Recomputes leaves and chain from exported lines alone: no database, no broker, one line in
 * memory. A file may go on where the one before it ends, whether that was whole or cut between two
 * lines.
 */
export async function verifyExport(
  lines: AsyncIterable<ExportedLine>,
  known: KnownFacts,
): Promise<ExportVerification> {
  let state: State | null = null;
  let ahead: Ahead | null = null;
  let last: Place = { file: "", line: 0 };
  for await (const each of lines) {
    const place = { file: each.file, line: Math.max(1, each.line) };
    last = place;
    const parsed = each.line === 0 ? EMPTY : each.ended ? parseExportLine(each.text) : CUT;
    if (ahead !== null) return explainGap(ahead, parsed, place);
    const next = take(state, parsed, place, known);
    if ("ok" in next) return next;
    if ("gap" in next) ahead = next;
    else state = next;
  }
  if (ahead !== null) return ahead.gap;
  if (state === null) return wrong(last, null, "there is no line: it is no export");
  return verdict(state, known, last);
}

const EMPTY: ParsedLine = {
  kind: "wrong",
  problem: "the file is empty: if its export broke off before the first line, leave it out",
};
const CUT: ParsedLine = { kind: "wrong", problem: "it was cut: no line feed ends it" };

/** An entry came too early: the next line says whether two lines changed places. */
interface Ahead {
  readonly gap: Wrong;
  readonly expected: number;
  readonly found: number;
}

function explainGap({ gap, expected, found }: Ahead, parsed: ParsedLine, place: Place): Wrong {
  if (parsed.kind !== "entry" || parsed.entry.log_index !== expected) return gap;
  const lines = `lines ${gap.line} and ${place.line}`;
  return { ...gap, problem: `${lines} changed places: entry ${expected} comes after ${found}` };
}

function take(
  state: State | null,
  parsed: ParsedLine,
  place: Place,
  known: KnownFacts,
): State | Wrong | Ahead {
  switch (parsed.kind) {
    case "wrong":
      return wrong(place, state?.next ?? null, parsed.problem);
    case "header":
      return state === null
        ? begin(parsed.header, place, known)
        : goOn(state, parsed.header, place);
    case "entry":
      if (state !== null) return takeEntry(state, parsed.entry, place);
      return wrong(place, null, "the header is missing: an export begins with one");
  }
}

function begin(header: ExportHeader, place: Place, known: KnownFacts): State | Wrong {
  const { from, installation, before_hash: before } = header;
  const problem = headerProblem(header);
  if (problem !== null) return wrong(place, null, problem);
  if (known.installation !== null && known.installation !== installation) {
    const both = `${installation}, and not ${known.installation}`;
    return wrong(place, null, `its header says that it is of installation ${both}`);
  }
  if (from === 0 && before !== START) {
    return wrong(place, 0, "before entry 0 there is nothing, and `before_hash` says otherwise");
  }
  if (known.before !== null && known.before !== before) {
    return wrong(place, from, `the hash before entry ${from} is not the one that was given`);
  }
  const isInstallationVouched = known.installation !== null;
  return {
    installation,
    isInstallationVouched,
    from,
    before,
    next: from,
    chain: before,
    header,
    place,
    promised: new PromisedHeads(),
    erased: new ErasedEntries(),
  };
}

/** What a header says of itself that cannot be. */
function headerProblem({ from, until, log_entries: entries }: ExportHeader): string | null {
  if (until < from) return "its range ends before it begins";
  return until <= entries ? null : "its range ends after the log: `log_entries` was altered";
}

/** The header of the next range, in this file or the next one. */
function goOn(state: State, header: ExportHeader, place: Place): State | Wrong {
  const { next } = state;
  if (header.installation !== state.installation) {
    const both = `${state.installation} before, ${header.installation} here`;
    return wrong(place, null, `the files are of two installations: ${both}`);
  }
  const problem = headerProblem(header) ?? olderProblem(state.header, header);
  if (problem !== null) return wrong(place, null, problem);
  if (header.from > next) {
    const last = header.from - 1;
    const missing = last === next ? `entry ${next} is` : `entries ${next} to ${last} are`;
    return wrong(place, next, `${missing} missing: this range begins at ${header.from}`);
  }
  if (header.from < next) {
    return wrong(place, header.from, `entry ${header.from} is there already: the ranges overlap`);
  }
  if (header.before_hash !== state.chain) {
    return wrong(place, next, "this range does not follow from the one before: a hash was altered");
  }
  if (isDeepStrictEqual(header, state.header)) {
    return wrong(place, null, "this line repeats the header before it");
  }
  const ended = endOfRange(state);
  if (ended !== null) return ended;
  if (next < state.header.until && !state.promised.add(state.header, state.place)) {
    return wrong(place, null, `more than ${PROMISED_MAX} ranges broke off before their end`);
  }
  return { ...state, header, place };
}

/** A log only grows, and migrations only go forward. */
function olderProblem(before: ExportHeader, header: ExportHeader): string | null {
  for (const name of ["log_entries", "schema_version"] as const) {
    if (header[name] < before[name]) {
      return `\`${name}\` is less than in the range before: one was altered`;
    }
  }
  return null;
}

/** Null unless the range was read to its end and its header has another hash there. */
function endOfRange({ next, chain, header, place }: State): Wrong | null {
  if (next < header.until || chain === header.head_hash) return null;
  return wrong(place, next === 0 ? null : next - 1, "`head_hash` is not that of its last entry");
}

function takeEntry(state: State, entry: ExportEntry, place: Place): State | Wrong | Ahead {
  const { next } = state;
  const index = entry.log_index;
  if (index < next) return wrong(place, index, `entry ${index} is there already`);
  if (index > next) {
    const missing = index - 1 === next ? `entry ${next} is` : `entries ${next} to ${index - 1} are`;
    const gap = wrong(place, next, `${missing} missing: this is entry ${index}`);
    return { gap, expected: next, found: index };
  }
  if (next >= state.header.until) {
    return wrong(place, next, `the range ends before entry ${next}, says its header`);
  }
  const problem = entryProblem(state, entry) ?? erasureProblem(state, entry, place);
  if (typeof problem === "string") return wrong(place, next, problem);
  if (problem !== null) return problem;
  const named = installationIn(entry);
  if (named !== null && named !== state.installation) {
    const both = `${named} here, ${state.installation} in the header`;
    return wrong(place, next, `entry ${next} is of another installation: ${both}`);
  }
  const broken = state.promised.brokenAt(next + 1, entry.chain_hash);
  if (broken !== null) {
    const text = "`head_hash` is not that of its last entry, which is in a range further down";
    return wrong(broken, next, text);
  }
  const isInstallationVouched = state.isInstallationVouched || named !== null;
  return { ...state, isInstallationVouched, next: next + 1, chain: entry.chain_hash };
}

/**
 * The bootstrap administrator's token is made for one installation, and its event says for which.
 * Of an entry from which values were erased, no leaf vouches for what it says now.
 */
function installationIn(entry: ExportEntry): string | null {
  if ("raw" in entry || entry.erased_by !== undefined) return null;
  if (!entry.event.kind.startsWith("admin_token.")) return null;
  const { installation } = entry.event.data;
  return typeof installation === "string" ? installation : null;
}

/** Of an entry that is right in itself: whether erasures agree, its own and those it tells of. */
function erasureProblem(state: State, entry: ExportEntry, place: Place): Wrong | string | null {
  if ("raw" in entry) return null;
  const { erased_by: by } = entry;
  if (by !== undefined && !state.erased.add({ ...entry, erased_by: by }, place)) {
    return `more than ${ERASED_WAITING_MAX} erased entries wait for what tells of them`;
  }
  const found = state.erased.vouch(entry.event);
  return found === null ? null : wrong(found.place, found.logIndex, found.problem);
}

function entryProblem({ chain, next }: State, entry: ExportEntry): string | null {
  if ("erased_by" in entry) return erasedProblem(chain, entry);
  const leaf = leafOf(entry);
  if (leaf === null) return `the event of entry ${next} has no canonical form: it was altered`;
  if (hex(leaf) === entry.leaf_hash) {
    return follows(chain, entry.leaf_hash, entry)
      ? null
      : `entry ${next} does not follow from ` +
          "the one before it: `chain_hash` was altered, here or there";
  }
  if (follows(chain, hex(leaf), entry)) return `\`leaf_hash\` of entry ${next} was altered`;
  return follows(chain, entry.leaf_hash, entry)
    ? `the event of entry ${next} was altered`
    : `entry ${next} was altered: neither its event nor its hashes fit`;
}

/** Its leaf cannot be computed any more, and is its link in the chain all the same. */
function erasedProblem(chain: string, entry: ExportEntry): string | null {
  if (!EVENT_ID.test(entry.event_id)) return "`event_id` is no id of an event: it was altered";
  if (follows(chain, entry.leaf_hash, entry)) return null;
  return `entry ${entry.log_index} does not follow from the one before it: a hash was altered`;
}

const leafOf = (entry: ExportEntry): Uint8Array | null => {
  if ("raw" in entry) return hashRaw(entry.raw);
  try {
    const { salt } = entry;
    return leafHash(entry.event, salt === undefined ? null : Buffer.from(salt, "hex"));
  } catch {
    return null;
  }
};

const follows = (chain: string, leaf: string, entry: ExportEntry): boolean =>
  hex(chainHash(Buffer.from(chain, "hex"), Buffer.from(leaf, "hex"))) === entry.chain_hash;

function verdict(state: State, known: KnownFacts, last: Place): ExportVerification {
  const { next, header, place, chain } = state;
  if (next < header.until) {
    const promise = `the header of line ${place.line} promises entries to ${header.until - 1}`;
    return wrong(last, next, `entry ${next} is missing: the files end here, and ${promise}`);
  }
  const ended = endOfRange(state);
  if (ended !== null) return ended;
  if (known.head !== null && known.head !== chain) {
    return wrong(place, Math.max(0, next - 1), "the last hash is not the one that was given");
  }
  const { installation, isInstallationVouched, from, before: beforeSha256 } = state;
  const whose = { installation, isInstallationVouched };
  const hashes = { beforeSha256, headSha256: chain };
  return { ok: true, ...whose, from, until: next, ...hashes, unvouched: state.erased.count };
}
