const EDITS_MAX = 2;
const LOOKED_AT_MAX = 10_000;

/**
 * The name that was probably meant: at most two edits away, fewer than half of what was typed; null
 * where there is none. An edit adds, drops or changes a character or swaps two neighbours (the
 * optimal string alignment distance).
 */
export function nearestName(typed: string, names: readonly string[]): string | null {
  let nearest: string | null = null;
  let fewest = Math.min(EDITS_MAX + 1, typed.length / 2);
  for (const name of names.slice(0, LOOKED_AT_MAX)) {
    if (Math.abs(name.length - typed.length) >= fewest) continue;
    const edits = editsBetween(typed, name);
    if (edits < fewest) [nearest, fewest] = [name, edits];
  }
  return nearest;
}

function editsBetween(from: string, to: string): number {
  let [twoAbove, above]: [readonly number[], readonly number[]] = [
    [],
    Array.from({ length: to.length + 1 }, (_, at) => at),
  ];
  for (let row = 1; row <= from.length; row++) {
    const here = [row];
    for (let at = 1; at <= to.length; at++) {
      const isSame = from[row - 1] === to[at - 1];
      const isSwapped = from[row - 1] === to[at - 2] && from[row - 2] === to[at - 1];
      here.push(
        Math.min(
          (here[at - 1] ?? 0) + 1,
          (above[at] ?? 0) + 1,
          (above[at - 1] ?? 0) + (isSame ? 0 : 1),
          isSwapped ? (twoAbove[at - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
        ),
      );
    }
    [twoAbove, above] = [above, here];
  }
  return above[to.length] ?? 0;
}
