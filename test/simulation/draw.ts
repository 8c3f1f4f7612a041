import type { Random } from "@mayfly/spec";
import { seededRandom } from "@mayfly/testkit";

/** Decisions of one history: the same seed makes the same ones, in the same order. */
export interface Draw {
  /** At least `min`, less than `max`. */
  between(min: number, max: number): number;
  whole(min: number, maxIncluded: number): number;
  chance(probability: number): boolean;
  of<T>(choices: readonly [T, ...T[]]): T;
  /** A stream of its own, so that one part's draws do not shift another's. */
  fork(name: string): Draw;
  readonly random: Random;
}

/** Drawn from the stream at once. */
const WORDS = 64;

export function createDraw(seed: string): Draw {
  const random = seededRandom(seed);
  let words: Uint32Array = new Uint32Array();
  let next = 0;
  const unit = (): number => {
    if (next === words.length) {
      words = new Uint32Array(random.bytes(4 * WORDS).buffer);
      next = 0;
    }
    return (words[next++] ?? 0) / 2 ** 32;
  };
  const between = (min: number, max: number): number => min + unit() * (max - min);
  return {
    between,
    whole: (min, max) => Math.floor(between(min, max + 1)),
    chance: (probability) => unit() < probability,
    of: (choices) => choices[Math.floor(unit() * choices.length)] ?? choices[0],
    fork: (name) => createDraw(`${seed}/${name}`),
    random,
  };
}
