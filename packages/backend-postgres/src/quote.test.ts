import fc from "fast-check";
import { expect, test } from "vitest";
import { oidLiteral, quoteIdentifier, quoteLiteral } from "./quote.ts";

test.each([
  ["plain", '"plain"'],
  ['a"b', '"a""b"'],
  ['"; DROP ROLE x; --', '"""; DROP ROLE x; --"'],
])("the identifier %s becomes %s", (name, quoted) => {
  expect(quoteIdentifier(name)).toBe(quoted);
});

test.each([
  ["plain", "'plain'"],
  ["it's", "'it''s'"],
  ["\\'", " E'\\\\'''"],
])("the literal %s becomes %s", (text, quoted) => {
  expect(quoteLiteral(text)).toBe(quoted);
});

test("no identifier ends its quotation early", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 15, unit: "grapheme-ascii" }), (name) => {
      const inner = quoteIdentifier(name).slice(1, -1);
      expect(inner.replaceAll('""', "")).not.toContain('"');
      expect(inner.replaceAll('""', '"')).toBe(name);
    }),
  );
});

test.each(["", "a\0b", "x".repeat(64), "ü".repeat(32)])("%j is no identifier", (name) => {
  expect(() => quoteIdentifier(name)).toThrow(RangeError);
});

test.each([0, -1, 1.5, 2 ** 32, Number.NaN])("%d is no OID", (oid) => {
  expect(() => oidLiteral(oid)).toThrow("OID");
});
