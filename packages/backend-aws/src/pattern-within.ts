/**
 * Whether every text that `inner` matches is matched by `outer` as well. In both, as in policies of
 * IAM, `*` stands for any text and `?` for one character. False where it is not evident: what
 * stands for more than one character is taken as a sign of its own, that only `*` covers.
 */
export function isPatternWithin(inner: string, outer: string): boolean {
  // Row by row of the usual matching of wildcards: `reached[at]`, whether the first `at` signs of
  // inner are covered by what of outer was read.
  const signs = Array.from(inner);
  let reached = [true, ...signs.map(() => false)];
  for (const sign of outer) {
    const next = reached.map(() => false);
    if (sign === "*") next[0] = reached[0] ?? false;
    for (let at = 1; at < reached.length; at++) {
      const covered = signs[at - 1] ?? "";
      if (sign === "*") next[at] = (next[at - 1] ?? false) || (reached[at] ?? false);
      else next[at] = (reached[at - 1] ?? false) && coversOne(sign, covered);
    }
    if (!next.includes(true)) return false;
    reached = next;
  }
  return reached.at(-1) ?? false;
}

/** Of a character beyond ASCII, `?` may be a part: whether AWS counts bytes it does not say. */
const coversOne = (sign: string, covered: string): boolean =>
  sign === "?" ? covered !== "*" && covered <= "~" : sign === covered;
