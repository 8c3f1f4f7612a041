import fc from "fast-check";
import { expect, test } from "vitest";
import { anchored, isNamePattern, isPatternWithin } from "./name-pattern.ts";

const matches = (pattern: string, name: string): boolean =>
  pattern !== "" && new RegExp(`^(?:${pattern})$`, "s").test(name);

test.each([
  ["a)|(b", "what closes the group that it is put into"],
  ["(?i)a", "flags"],
  ["(?=a)", "a look ahead"],
  ["(*ACCEPT)a", "a verb"],
  ["\\Qa", "a quotation"],
  ["a\\", "an open escape"],
  ["[a", "an open class"],
  ["[[:alpha:]]", "a class within a class"],
  ["[]a]", "a class that begins with its end"],
  ["{username}", "a variable of topic permissions"],
  ["\\{vhost}", "a variable behind a backslash"],
  ["a\\{username}.*", "another"],
  ["[{username}]", "one within a class"],
  ["a\nb", "a line break"],
  ["ä", "a letter beyond ASCII"],
  ["x".repeat(201), "more than 200 characters"],
])("%s is refused: %s", (pattern) => {
  expect(isNamePattern(pattern)).toBe(false);
});

test.each(["", ".*", "orders\\..*", "(a|b)\\.[a-z0-9_-]{1,3}", "(?:a)+?", "a\\{b\\}", "\\d\\w"])(
  "%s is a pattern",
  (pattern) => {
    expect(isNamePattern(pattern)).toBe(true);
  },
);

test("an anchored pattern is whole: neither half of an alternative looks further", () => {
  expect(anchored("a|b")).toBe("^(?s:a|b)\\z");
  expect(anchored("")).toBe("(?!)");
});

test.each([
  ["orders\\.7", "orders\\..*", true],
  ["orders\\.[a-z]+|stock", "stock|orders\\..*", true],
  ["", "anything", true],
  ["anything at all", ".*", true],
  ["orders\\.7+", "orders\\.7.*", false],
  ["orders.7", "orders\\..*", false],
  ["orders|other", "orders.*", false],
  ["(orders|stock)\\.a", "orders\\..*|stock\\..*", false],
  ["stocks", "stock", false],
  ["orders\\..*", "orders\\.[a-z]*", false],
  ["a|", "a", false],
])("%s within %s: %s", (inner, outer, within) => {
  expect(isPatternWithin(inner, outer)).toBe(within);
});

test("what is said to be within matches nothing that the outer pattern does not match", () => {
  const piece = fc.constantFrom("a", "b", ".", ".*", "|", "\\.", "a+", "[ab]", "b?", "(a|b)");
  const pattern = fc
    .array(piece, { maxLength: 5 })
    .map((pieces) => pieces.join(""))
    .filter(isNamePattern);
  const name = fc.string({ unit: fc.constantFrom("a", "b", ".", "\n"), maxLength: 5 });
  let said = 0;
  fc.assert(
    fc.property(pattern, pattern, name, (inner, outer, text) => {
      if (!isPatternWithin(inner, outer)) return;
      said++;
      if (matches(inner, text)) expect(matches(outer, text)).toBe(true);
    }),
    { numRuns: 20_000 },
  );
  expect(said).toBeGreaterThan(500);
});
