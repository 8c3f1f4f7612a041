import fc from "fast-check";

/** An input of about so many characters, and of no more. */
export type Shape = (size: number) => string;

/** One thing over and over; `unit` may say a different thing each time. */
export function repeated(
  before: string,
  unit: string | ((n: number) => string),
  after: string,
): Shape {
  return (size) => {
    const room = Math.max(0, size - before.length - after.length);
    if (typeof unit === "string") {
      return before + unit.repeat(Math.floor(room / Math.max(1, unit.length))) + after;
    }
    const units: string[] = [];
    let length = 0;
    for (let n = 0; ; n += 1) {
      const next = unit(n);
      length += next.length;
      if (length > room) break;
      units.push(next);
    }
    return before + units.join("") + after;
  };
}

/** What parsers count, stack, look back over, or copy once for each. */
const UNITS = [
  "a",
  "A",
  "AA",
  "0",
  "9",
  "-",
  "1,",
  "-0,",
  "1e999,",
  "0.1,",
  " ",
  "\t",
  "\n",
  "\r\n",
  "\u0000",
  "\u00e9",
  "\u0301",
  "\u202e",
  "\u2028",
  "\ufeff",
  "\u{1f99f}",
  "\u{10ffff}",
  "\ud800",
  '"',
  "\\",
  '\\"',
  "\\u0000",
  "\\ud800",
  "[",
  "]",
  "[]",
  "[],",
  "{",
  "{},",
  '{"a":',
  '[{"a":',
  '"a":0,',
  '"__proto__":0,',
  '"",',
  ",",
  ", ",
  ":",
  ";",
  ".",
  "..",
  "/",
  "/a",
  "/..",
  "//",
  "%",
  "%41",
  "%00",
  "%F0%9F%A6%9F",
  "+",
  "&",
  "=",
  "a=1&",
  "&a=",
  "e30.",
  ":AA==:, ",
  ";for=",
  'for="",',
] as const;

interface Growth {
  readonly sound: readonly string[];
  readonly limit: number;
  readonly shapes: readonly Shape[];
}

/**
 * Large inputs: a sound one, into which something is put over and over, or one of the parser's own
 * shapes; of any size up to its limit, and most often around that.
 */
export function grownText({ sound, limit, shapes }: Growth): fc.Arbitrary<string> {
  const size = fc.oneof(fc.constantFrom(limit - 1, limit, limit + 1), fc.nat(limit));
  const unit = fc.oneof(
    fc.constantFrom(...UNITS).map((text) => ({ text, length: 0 })),
    fc.integer({ min: 1, max: 40 }).map((length) => ({ text: null, length })),
  );
  const put = fc
    .tuple(fc.constantFrom(...sound), fc.nat(65_535), unit, size)
    .map(([text, at, { text: own, length }, most]) => {
      const place = at % (text.length + 1);
      const part = own ?? text.slice(place, place + length);
      return repeated(text.slice(0, place), part === "" ? "a" : part, text.slice(place))(most);
    });
  if (shapes.length === 0) return put;
  const own = fc.tuple(fc.constantFrom(...shapes), size).map(([shape, most]) => shape(most));
  return fc.oneof(put, own);
}
