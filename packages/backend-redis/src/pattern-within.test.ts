import fc from "fast-check";
import { expect, test } from "vitest";
import { isPatternWithin } from "./pattern-within.ts";

/** Redis' own glob, of the forms that the comparator may say yes to: literals, `?` and `*`. */
function matches(pattern: string, text: string): boolean {
  const source = pattern
    .split("")
    .map((char) => (char === "*" ? "[^]*" : char === "?" ? "[^]" : `\\x${hex(char)}`))
    .join("");
  return new RegExp(`^${source}$`).test(text);
}
const hex = (char: string): string => char.charCodeAt(0).toString(16).padStart(2, "0");

test.each([
  ["orders:*", "orders:*", true],
  ["orders:7:*", "orders:*", true],
  ["orders:7", "orders:*", true],
  ["orders:[0-9]*", "orders:*", true],
  ["anything", "*", true],
  ["a[b", "a[b", true],
  ["orders*", "orders:*", false],
  ["?rders:7", "orders:*", false],
  ["*", "orders:*", false],
  ["orders:7", "orders:?", false],
  ["orders:7", "orders:[7]*", false],
  ["orders\\*x", "orders*x*", false],
  ["a\\b", "a\\*", false],
])("%s within %s: %s", (inner, outer, within) => {
  expect(isPatternWithin(inner, [outer])).toBe(within);
});

test("what is said to be within matches nothing that the outer pattern does not match", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", ":"), maxLength: 6 });
  const pattern = fc.string({ unit: fc.constantFrom("a", "b", ":", "?", "*"), maxLength: 5 });
  fc.assert(
    fc.property(pattern, pattern, text, (inner, outer, key) => {
      if (isPatternWithin(inner, [outer]) && matches(inner, key)) {
        expect(matches(outer, key)).toBe(true);
      }
    }),
    { numRuns: 5_000 },
  );
});
