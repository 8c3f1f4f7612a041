/** What begins a special form in the patterns of Redis (`stringmatchlen` in its util.c). */
const SPECIAL = /[*?[\]\\^]/;

/** The characters before the first special one: each match of the pattern begins with them. */
function literalStart(pattern: string): string {
  const at = pattern.search(SPECIAL);
  return at === -1 ? pattern : pattern.slice(0, at);
}

/**
 * Whether all that `inner` matches is matched by one of `outer`. Understands equal patterns, and
 * `literal*` on the outer side; of anything else it says no, though it might be so.
 */
export function isPatternWithin(inner: string, outer: readonly string[]): boolean {
  return outer.some((wide) => {
    if (wide === inner) return true;
    const stem = wide.slice(0, -1);
    if (!wide.endsWith("*") || SPECIAL.test(stem)) return false;
    return literalStart(inner).startsWith(stem);
  });
}
