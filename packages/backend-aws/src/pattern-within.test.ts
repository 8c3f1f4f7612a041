import fc from "fast-check";
import { expect, test } from "vitest";
import { isPatternWithin } from "./pattern-within.ts";

/** AWS does not say whether `?` is a character beyond ASCII or a part of one: both have to hold. */
const matches = (flags: "s" | "su", pattern: string, text: string): boolean =>
  new RegExp(
    `^${pattern
      .replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
      .replaceAll("*", ".*")
      .replaceAll("?", ".")}$`,
    flags,
  ).test(text);

test.each([
  ["s3:GetObject", "s3:Get*", true],
  ["s3:Get*", "s3:GetObject", false],
  ["s3:*", "*", true],
  ["*", "s3:*", false],
  ["a?c", "a*", true],
  ["a*c", "a?c", false],
  ["a", "a*", true],
  ["", "*", true],
  ["a*b*c", "a*c", true],
  ["orders-archive", "orders", false],
  ["*x*", "**", true],
  ["a/😀/c", "a/*/c", true],
  ["a/😀/c*", "a/*/c", false],
  ["a/😀😀😀/c/*", "a/*/c", false],
  ["é", "é", true],
  ["é", "?", false],
  ["😀", "?", false],
  ["?", "?", true],
])("%s within %s: %s", (inner, outer, isWithin) => {
  expect(isPatternWithin(inner, outer)).toBe(isWithin);
});

test("what is within matches nothing that the wider one does not", () => {
  const pattern = fc.stringMatching(/^[ab😀*?]{0,6}$/u);
  const text = fc.stringMatching(/^[ab😀]{0,6}$/u);
  let judged = 0;
  fc.assert(
    fc.property(pattern, pattern, fc.array(text, { maxLength: 20 }), (inner, outer, texts) => {
      if (!isPatternWithin(inner, outer)) return;
      judged++;
      // The narrow pattern's own shape is where a mistake would show.
      const filled = ["", "a", "ab", "😀"].map((part) =>
        inner.replaceAll("*", part).replaceAll("?", Array.from(part)[0] ?? "b"),
      );
      for (const each of [...texts, ...filled]) {
        for (const flags of ["s", "su"] as const) {
          if (matches(flags, inner, each)) expect(matches(flags, outer, each)).toBe(true);
        }
      }
    }),
    { numRuns: 2_000 },
  );
  expect(judged).toBeGreaterThan(50);
});
