import { closestMatch } from "leven";

const EDITS_MAX = 2;
const LOOKED_AT_MAX = 10_000;

/**
 * The name that was probably meant: at most two edits away, fewer than half of what was typed; null
 * where there is none. An edit adds, drops or changes a character, so two swapped ones are two.
 */
export function nearestName(typed: string, names: readonly string[]): string | null {
  const maxDistance = Math.min(EDITS_MAX, Math.ceil(typed.length / 2) - 1);
  if (maxDistance < 1) return null;
  return closestMatch(typed, names.slice(0, LOOKED_AT_MAX), { maxDistance }) ?? null;
}
