import fc from "fast-check";

/** What parsers stumble over: separators, escapes, ends, strange letters, names of Object's own. */
const BITS = [
  "",
  " ",
  "\n",
  "\r\n",
  "\t",
  "\u0000",
  "\u007f",
  "\u00a0",
  "\u200b",
  "\u2028",
  "\ufeff",
  "\ud800",
  "\udfff",
  "\u{1f99f}",
  "\u{10ffff}",
  "\ufffd",
  "\u0301",
  "\u202e",
  "\u0131",
  "\ufb00",
  "\uff0e",
  "%",
  "%c0%ae",
  "%ed%a0%80",
  "%00",
  "%2e",
  "%zz",
  "+",
  "&",
  "=",
  ";",
  ",",
  ".",
  "..",
  "/",
  "//",
  "/../",
  ":",
  "@",
  "#",
  "?",
  "\\",
  "\\u0000",
  '"',
  "'",
  "[",
  "]",
  "{",
  "}",
  "[[[[[[[[[[",
  "null",
  "true",
  "-0",
  "1e999",
  "1e-400",
  "9007199254740993",
  "18446744073709551616",
  "9".repeat(400),
  "0x1",
  "01",
  "__proto__",
  "constructor",
  "e30",
  "AA",
  "A".repeat(300),
  "\u0130",
  "K",
] as const;

interface Edit {
  readonly kind: "insert" | "replace" | "cut" | "repeat" | "nest" | "swap";
  readonly at: number;
  readonly length: number;
  readonly bit: string;
}
const edit: fc.Arbitrary<Edit> = fc.record({
  kind: fc.constantFrom("insert", "replace", "cut", "repeat", "nest", "swap"),
  at: fc.nat(65_535),
  length: fc.nat(12),
  bit: fc.constantFrom(...BITS),
});

function edited(text: string, { kind, at, length, bit }: Edit): string {
  const place = text.length === 0 ? 0 : at % (text.length + 1);
  const [before, after] = [text.slice(0, place), text.slice(place)];
  switch (kind) {
    case "insert":
      return before + bit + after;
    case "replace":
      return before + bit + after.slice(length);
    case "cut":
      return before + after.slice(length);
    case "repeat":
      // A whole member, often: what is said twice has to be refused, or said of a list.
      return before + after.slice(0, 3 * length).repeat(3) + after;
    case "nest":
      return before + "[".repeat(length) + after.slice(0, length) + "]".repeat(length) + after;
    case "swap":
      return after + before;
  }
}

/** One of `sound`, with nothing, one or a few things done to it; now and then any text at all. */
export const damagedText = (sound: readonly string[]): fc.Arbitrary<string> =>
  fc.oneof(
    {
      weight: 9,
      arbitrary: fc
        .tuple(fc.constantFrom(...sound), fc.array(edit, { maxLength: 3 }))
        .map(([text, edits]) => edits.reduce(edited, text)),
    },
    { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 80 }) },
  );
