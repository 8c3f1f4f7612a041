import { describe, expect, test } from "vitest";
import { cleanStrings, cleanText, jsonText } from "./clean-text.ts";
import { errorText } from "./error-text.ts";
import { factsOf, summaryText } from "./fact-lines.ts";
import { createPaint } from "./paint.ts";
import { table } from "./table.ts";
import { clockText, durationText, relativeText } from "./time-text.ts";

const NOW = Date.parse("2026-11-20T22:03:00.000Z");

describe("time", () => {
  test.each([
    [0, "0 ms"],
    [999.4, "999 ms"],
    [1_000, "1 s"],
    [192_000, "3 min 12 s"],
    [180_000, "3 min"],
    [3_600_000 + 5_000, "1 h"],
    [2 * 86_400_000 + 4 * 3_600_000, "2 d 4 h"],
  ])("%d ms lasted %s", (ms, text) => {
    expect(durationText(ms)).toBe(text);
  });
  test("is told from now, in one unit", () => {
    expect(relativeText("2026-11-20T22:15:30.000Z", NOW)).toBe("in 12 min");
    expect(relativeText("2026-11-20T21:59:00.000Z", NOW)).toBe("4 min ago");
    expect(relativeText("2026-11-20T22:03:00.400Z", NOW)).toBe("now");
  });
  test("of day is the reader's, with the day where it is another one", () => {
    expect(clockText("2026-11-20T22:15:00.000Z", NOW, "UTC")).toBe("22:15");
    expect(clockText("2026-11-20T22:15:00.000Z", NOW, "Europe/Berlin")).toBe("23:15");
    expect(clockText("2026-11-20T23:15:00.000Z", NOW, "Europe/Berlin")).toBe("2026-11-21 00:15");
  });
});

test("a table is as wide as its cells, and its colours do not move it", () => {
  const rows = [
    { name: "a", state: "stuck" },
    { name: "longer", state: "active" },
  ];
  const columns = (paint: ReturnType<typeof createPaint>) => [
    { title: "NAME", cell: (row: (typeof rows)[number]) => row.name },
    { title: "STATE", cell: (row: (typeof rows)[number]) => row.state, colour: paint.red },
    { title: "LAST", cell: () => "" },
  ];
  const plain = createPaint(false);
  const text = table(columns(plain), rows, plain);
  expect(text).toBe("NAME    STATE   LAST\na       stuck\nlonger  active\n");
  const colour = createPaint(true);
  const painted = table(columns(colour), rows, colour);
  expect(painted).not.toBe(text);
  const escapes = new RegExp(`${String.fromCodePoint(27)}\\[\\d+m`, "g");
  const stripped = painted.replaceAll(escapes, "").split("\n");
  expect(stripped.map((line) => line.trimEnd()).join("\n")).toBe(text);
});

test("text from elsewhere loses what a terminal would obey, and nothing else", () => {
  expect(cleanText("a\u001b[31mb\u009bc\u202ed\te\r\nf – ü 日本")).toBe("a�[31mb�c�d e f – ü 日本");
  // Drawn as nothing: a soft hyphen, a word joiner, a byte order mark, a filler, "hi" in tags.
  const unseen = "\u00ad\u2060\ufeff\u3164\u{e0068}\u{e0069}";
  expect(cleanText(`a${unseen}b ❤\ufe0f`)).toBe("a������b ❤\ufe0f");
  expect(jsonText(unseen)).toMatch(/^[\x20-\x7e]+$/);
  expect(JSON.parse(jsonText(unseen))).toBe(unseen);
  expect(cleanStrings({ "k\u0007": ["\u0000", 1, null, { a: "b" }] })).toEqual({
    "k�": ["�", 1, null, { a: "b" }],
  });
});

test("JSON becomes facts with dotted names", () => {
  expect(factsOf({ a: { b: 1, c: [] }, d: ["x", "y"], e: [{ f: true }], g: {} })).toEqual([
    ["a.b", "1"],
    ["a.c", "none"],
    ["d", "x, y"],
    ["e.0.f", "true"],
    ["g", "empty"],
  ]);
  expect(summaryText({ a: "x", deep: { b: 1 }, none: null, c: "y".repeat(50) }, 20)).toBe(
    `a=x c=${"y".repeat(13)}…`,
  );
});

test("an error lists what the broker added, such as problems with what mends them", () => {
  const text = errorText(
    {
      code: "check_failed",
      what: "The group role owns objects.",
      todo: "Do what each says.",
      exit: 4,
      more: { problems: [{ code: "owns", what: "app_reader owns t", fix: "ALTER TABLE t …" }] },
    },
    createPaint(false),
  );
  expect(text.split("\n")).toEqual([
    "error  The group role owns objects.",
    "problems:",
    "       owns  app_reader owns t  ALTER TABLE t …",
    "do     Do what each says.",
    "code   check_failed",
    "",
  ]);
});

test("JSON output holds no control character, and reads back as it was", () => {
  const value = { reason: "\u009b2J\u202eevil\u061c\u200b\u007f", plain: "ü – 日本" };
  const text = jsonText(value);
  expect(text).not.toMatch(/[\p{Cc}\u061c\u200b-\u200f\u202a-\u202e]/u);
  expect(text).toContain("ü – 日本");
  expect(JSON.parse(text)).toEqual(value);
});
