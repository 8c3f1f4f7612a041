import { DOCUMENT_CHARACTERS_MAX, NAMES_MAX, type DenyDocument } from "./deny-document.ts";

/** One document written, if any names are given, and then others deleted. */
export interface RewriteStep {
  readonly write: readonly string[];
  /** Policy names. */
  readonly remove: readonly string[];
}

export interface RewriteNeeds {
  readonly documents: readonly DenyDocument[];
  /** Names that have to be denied. */
  readonly denied: ReadonlySet<string>;
  /** Characters that all documents together may have. */
  readonly room: number;
  /** What a document of so many names has. */
  readonly charactersOf: (names: number) => number;
}

interface Standing extends DenyDocument {
  /** What has to be denied, and stands in no later document. */
  readonly live: readonly string[];
}

const STEPS_MAX = 32;

/**
 * What makes the documents deny exactly what has to be, or `full`. A document is deleted only once
 * all that it denies, and has to, stands in one of a later turn: so whoever was frozen on the way
 * and goes on with an old plan takes no deny away, and what it adds denies who has ended anyway.
 */
export function planRewrite(needs: RewriteNeeds): readonly RewriteStep[] | "full" {
  const { denied, room, charactersOf } = needs;
  const standing = liveOf(needs);
  const known = new Set(standing.flatMap(({ live }) => live));
  const missing = [...denied].filter((name) => !known.has(name)).toSorted();
  const over = standing.filter(({ live }) => live.length === 0);
  const steps: RewriteStep[] = [];
  let left = standing.filter(({ live }) => live.length > 0);
  let written = 0;
  const total = (): number => sum(left.map(({ characters }) => characters)) + written;
  const take = (first: readonly string[], taken: readonly Standing[]): void => {
    const write = [...first, ...taken.flatMap(({ live }) => live)];
    steps.push({ write, remove: taken.map(({ policyName }) => policyName) });
    left = left.filter((each) => !taken.includes(each));
    written += charactersOf(write.length);
  };
  // What somebody else changed denies somebody, perhaps: it goes last.
  const removed = over.filter(({ turn }) => turn >= 0);
  if (removed.length > 0) steps.push({ write: [], remove: removed.map((each) => each.policyName) });
  const strange = over.filter(({ turn }) => turn < 0);
  written += sum(strange.map(({ characters }) => characters));
  const isRoomFor = (names: number): boolean => total() + charactersOf(names) <= room;

  while (missing.length > 0 && steps.length < STEPS_MAX) {
    const chunk = missing.slice(0, NAMES_MAX);
    const folded = fitting(chunk.length, left);
    const all = chunk.length + sum(folded.map(({ live }) => live.length));
    if (isRoomFor(all)) take(chunk, folded);
    else if (isRoomFor(chunk.length)) take(chunk, []);
    else {
      const compacted = compactable(left, isRoomFor);
      if (compacted.length === 0) return "full";
      take([], compacted);
      continue;
    }
    missing.splice(0, chunk.length);
  }
  if (missing.length > 0) return "full";
  while (steps.length < STEPS_MAX) {
    const isTight = total() > room - DOCUMENT_CHARACTERS_MAX;
    const worn = isTight ? left : left.filter(isWorn);
    const compacted = compactable(worn, isRoomFor);
    if (compacted.length === 0) break;
    take([], compacted);
  }
  if (strange.length > 0) steps.push({ write: [], remove: strange.map((each) => each.policyName) });
  return steps;
}

/** Of each name the latest document that has it keeps it. */
function liveOf({ documents, denied }: RewriteNeeds): readonly Standing[] {
  const seen = new Set<string>();
  return documents
    .toSorted((a, b) => b.turn - a.turn || (a.policyName < b.policyName ? -1 : 1))
    .map((document) => {
      const live = document.names.filter((name) => denied.has(name) && !seen.has(name));
      for (const name of live) seen.add(name);
      return { ...document, live };
    });
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, each) => all + each, 0);
const isWorn = ({ live, names }: Standing): boolean => live.length * 2 < names.length;
const byLive = (a: Standing, b: Standing): number => a.live.length - b.live.length;

/** The emptiest that fit beside so many names into one document. */
function fitting(names: number, documents: readonly Standing[]): readonly Standing[] {
  const taken: Standing[] = [];
  let count = names;
  for (const each of documents.toSorted(byLive)) {
    if (count + each.live.length > NAMES_MAX) break;
    count += each.live.length;
    taken.push(each);
  }
  return taken;
}

/** Those that become less when they are written again as one; none, where that gains nothing. */
function compactable(
  documents: readonly Standing[],
  isRoomFor: (names: number) => boolean,
): readonly Standing[] {
  let taken = fitting(0, documents);
  while (taken.length > 0 && !isRoomFor(sum(taken.map(({ live }) => live.length)))) {
    taken = taken.slice(0, -1);
  }
  const gains = taken.length > 1 || taken.some(({ live, names }) => live.length < names.length);
  return gains ? taken : [];
}
