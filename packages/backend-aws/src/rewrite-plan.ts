import { DOCUMENT_CHARACTERS_MAX, NAMES_MAX, type DenyDocument } from "./deny-document.ts";

/** One document written, if any names are given, and then others deleted. */
export interface RewriteStep {
  readonly write: readonly string[];
  /** Policy names. */
  readonly remove: readonly string[];
  /** Names that are denied by nothing any more, once it is done, that is known everywhere. */
  readonly unsettled: readonly string[];
}

export interface RewritePlan {
  readonly steps: readonly RewriteStep[];
  /** There is no room for all: done, the steps deny as many as there is room for. */
  readonly isFull: boolean;
}

export interface RewriteNeeds {
  readonly documents: readonly DenyDocument[];
  /** Names that have to be denied. */
  readonly denied: ReadonlySet<string>;
  /** Characters that all documents together may have. */
  readonly room: number;
  /** What a document of so many names has. */
  readonly charactersOf: (names: number) => number;
  /** Whether a document has stood for so long that it is known everywhere. */
  readonly isSettled: (document: DenyDocument) => boolean;
}

interface Standing extends DenyDocument {
  readonly isSettled: boolean;
  /** What has to be denied, and stands in no later document. */
  readonly live: readonly string[];
  /** What has to be denied, and stands in no later document that is known everywhere. */
  readonly needed: readonly string[];
}

const STEPS_MAX = 64;
/** Written anew is what becomes so much less by it. */
const GAIN_CHARACTERS_MIN = 500;

/**
 * What makes the documents deny exactly what has to be. A document is deleted only once all that it
 * denies, and has to, stands in one of a later turn: so whoever was frozen on the way and goes on
 * with an old plan takes no deny away, and what it adds denies who has ended anyway. And it is
 * deleted only once that later one is known everywhere too, unless the room is needed: then the
 * names count anew.
 */
export function planRewrite(needs: RewriteNeeds): RewritePlan {
  const standing = standingOf(needs);
  const known = new Set(standing.flatMap(({ live }) => live));
  const missing = [...needs.denied].filter((name) => !known.has(name)).toSorted();
  const over = standing.filter(({ needed }) => needed.length === 0);
  // What somebody else changed denies somebody, perhaps: it goes last.
  const strange = over.filter(({ turn }) => turn < 0);
  const draft = new Draft(needs, standing, sum(strange.map(({ characters }) => characters)));
  draft.remove(over.filter(({ turn }) => turn >= 0));
  while (missing.length > 0 && draft.steps.length < STEPS_MAX) {
    const some = Math.min(missing.length, NAMES_MAX);
    if (!draft.isRoomFor(some, DOCUMENT_CHARACTERS_MAX) && draft.makeRoom()) continue;
    const fits = draft.namesThatFit(some);
    if (fits === 0) break;
    draft.write(missing.splice(0, fits));
  }
  const isFull = missing.length > 0;
  while (draft.steps.length < STEPS_MAX && !draft.isRoomFor(0, DOCUMENT_CHARACTERS_MAX)) {
    if (!draft.makeRoom()) break;
  }
  draft.copyWorn();
  draft.remove(strange);
  return { steps: draft.steps, isFull };
}

class Draft {
  readonly steps: RewriteStep[] = [];
  readonly #needs: RewriteNeeds;
  #left: readonly Standing[];
  /** Those whose names all stand in later ones, of which one is not known everywhere yet. */
  #superseded: readonly Standing[];
  /** Characters of all others. */
  #others: number;

  constructor(needs: RewriteNeeds, standing: readonly Standing[], others: number) {
    this.#needs = needs;
    this.#left = standing.filter(({ live }) => live.length > 0);
    this.#superseded = standing.filter(
      ({ live, needed }) => live.length === 0 && needed.length > 0,
    );
    this.#others = others;
  }

  isRoomFor(names: number, beside = 0): boolean {
    const { charactersOf, room } = this.#needs;
    const standing = sum([...this.#left, ...this.#superseded].map((each) => each.characters));
    return standing + this.#others + charactersOf(names) + beside <= room;
  }

  namesThatFit(most: number): number {
    let fits = most;
    while (fits > 0 && !this.isRoomFor(fits)) fits--;
    return fits;
  }

  write(names: readonly string[]): void {
    this.steps.push({ write: names, remove: [], unsettled: [] });
    this.#others += this.#needs.charactersOf(names.length);
  }

  remove(documents: readonly Standing[]): void {
    if (documents.length === 0) return;
    this.steps.push({ write: [], remove: documents.map(nameOf), unsettled: [] });
  }

  /** At once, for room that is needed. False: nothing more is to be gained. */
  makeRoom(): boolean {
    if (this.#superseded.length > 0) {
      const unsettled = this.#superseded.flatMap(({ needed }) => needed);
      this.steps.push({ write: [], remove: this.#superseded.map(nameOf), unsettled });
      this.#superseded = [];
      return true;
    }
    // First those that nobody relies on yet.
    const young = this.#compactable(this.#left.filter(({ isSettled }) => !isSettled));
    const taken = young.length > 0 ? young : this.#compactable(this.#left);
    if (taken.length === 0) return false;
    const write = taken.flatMap(({ live }) => live);
    const unsettled = taken.flatMap(({ needed }) => needed);
    this.steps.push({ write, remove: taken.map(nameOf), unsettled });
    this.#left = this.#left.filter((each) => !taken.includes(each));
    this.#others += this.#needs.charactersOf(write.length);
    return true;
  }

  /** Ahead of need, and only where there is room for both: what was copied goes in a later turn. */
  copyWorn(): void {
    const taken = fitting(this.#left.filter(({ isSettled }) => isSettled));
    const names = taken.flatMap(({ live }) => live);
    const gain = sum(taken.map((each) => each.characters)) - this.#needs.charactersOf(names.length);
    if (gain < GAIN_CHARACTERS_MIN) return;
    if (this.isRoomFor(names.length, DOCUMENT_CHARACTERS_MAX)) this.write(names);
  }

  /** Those that become less when they are written again as one; none, where that gains nothing. */
  #compactable(documents: readonly Standing[]): readonly Standing[] {
    let taken = fitting(documents);
    while (taken.length > 0 && !this.isRoomFor(sum(taken.map(({ live }) => live.length)))) {
      taken = taken.slice(0, -1);
    }
    const gains = taken.length > 1 || taken.some(({ live, names }) => live.length < names.length);
    return gains ? taken : [];
  }
}

/** Latest first: of each name the latest document that has it keeps it. */
function standingOf({ documents, denied, isSettled }: RewriteNeeds): readonly Standing[] {
  const seen = new Set<string>();
  const seenSettled = new Set<string>();
  return documents
    .toSorted((a, b) => b.turn - a.turn || (a.policyName < b.policyName ? -1 : 1))
    .map((document) => {
      const names = document.names.filter((name) => denied.has(name));
      const live = names.filter((name) => !seen.has(name));
      const needed = names.filter((name) => !seenSettled.has(name));
      const settled = isSettled(document);
      for (const name of names) {
        seen.add(name);
        if (settled) seenSettled.add(name);
      }
      return { ...document, isSettled: settled, live, needed };
    });
}

const nameOf = ({ policyName }: DenyDocument): string => policyName;
const sum = (numbers: readonly number[]): number => numbers.reduce((all, each) => all + each, 0);
const byLive = (a: Standing, b: Standing): number => a.live.length - b.live.length;

/** The emptiest that fit into one document. */
function fitting(documents: readonly Standing[]): readonly Standing[] {
  const taken: Standing[] = [];
  let count = 0;
  for (const each of documents.toSorted(byLive)) {
    if (count + each.live.length > NAMES_MAX) break;
    count += each.live.length;
    taken.push(each);
  }
  return taken;
}
