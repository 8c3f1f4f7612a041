/** One ratio for each round of A and B, in turn, and what lies between. */
export interface Interleaved<A, B> {
  readonly ratio: number;
  readonly spread: readonly [number, number];
  readonly ours: readonly A[];
  readonly theirs: readonly B[];
}

/**
 * Runs ours and theirs in turn, and which of them is first changes each round, so that a machine
 * that gets slower or faster meanwhile favours neither. `ratioOf` compares the two of one round.
 */
export async function interleave<A, B>(
  rounds: number,
  ours: (round: number) => Promise<A>,
  theirs: (round: number) => Promise<B>,
  ratioOf: (ours: A, theirs: B) => number,
): Promise<Interleaved<A, B>> {
  const pairs: { readonly a: A; readonly b: B }[] = [];
  for (let round = 0; round < rounds; round++) {
    if (round % 2 === 0) {
      const a = await ours(round);
      pairs.push({ a, b: await theirs(round) });
    } else {
      const b = await theirs(round);
      pairs.push({ a: await ours(round), b });
    }
  }
  const ratios = pairs.map(({ a, b }) => ratioOf(a, b));
  return {
    ratio: median(ratios),
    spread: [Math.min(...ratios), Math.max(...ratios)],
    ours: pairs.map(({ a }) => a),
    theirs: pairs.map(({ b }) => b),
  };
}

/** Of an even number, what lies half-way between the two in the middle; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return ((low ?? Number.NaN) + (high ?? Number.NaN)) / 2;
}

/** By the nearest rank: the least value that `q` of all do not exceed; NaN of nothing. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}
