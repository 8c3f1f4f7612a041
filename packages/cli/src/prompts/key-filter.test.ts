import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { KeyFilter, TYPED_MAX } from "./key-filter.ts";
import { strangeCharacter } from "./strange-character.ts";

const ESCAPE = "\u001b";
const pasted = (text: string): string => `${ESCAPE}[200~${text}${ESCAPE}[201~`;
/** Sends it in pieces of a length, as terminals do. */
const inPieces = (filter: KeyFilter, text: string, length: number): string => {
  let keys = "";
  for (let at = 0; at < text.length; at += length) keys += filter.pass(text.slice(at, at + length));
  return keys;
};

describe("what is typed", () => {
  test("comes through with the keys that edit it, and without other controls", () => {
    const filter = new KeyFilter(true);
    expect(filter.pass(`d\u0000b\u0007${ESCAPE}[D\u007f\u009b1\r`)).toBe(`db${ESCAPE}[D\u007f1\r`);
    expect(filter.takeRefusal()).toBeNull();
  });

  test("after its line break is nothing: no later question is answered by it", () => {
    expect(new KeyFilter(true).pass("first\rsecond\r")).toBe("first\r");
  });

  test("beyond the bound is dropped and said, and the next line begins anew", () => {
    const filter = new KeyFilter(true);
    expect(filter.pass("x".repeat(1_000_000))).toHaveLength(TYPED_MAX);
    expect(filter.takeRefusal()).toContain("Name a file");
    expect(filter.takeRefusal()).toBeNull();
    expect(filter.pass("\r")).toBe("\r");
    expect(filter.pass("y")).toBe("y");
    expect(filter.takeRefusal()).toBeNull();
  });

  test("may be the end of the input", () => {
    const filter = new KeyFilter(true);
    expect([filter.pass("a\u0004"), filter.hasEnded]).toEqual(["a", true]);
  });
});

describe("what is pasted", () => {
  test("is taken whole, however the terminal cuts it", () => {
    fc.assert(
      fc.property(
        fc
          .string({ unit: "grapheme", maxLength: 60 })
          .filter((text) => strangeCharacter(text) === null),
        fc.integer({ min: 1, max: 80 }),
        (text, length) => {
          const filter = new KeyFilter(true);
          expect(inPieces(filter, `a${pasted(`${text}\n`)}b`, length)).toBe(`a${text}b`);
        },
      ),
      { seed: 20_261_130 },
    );
  });

  test.each([
    ["several lines", "one\ntwo", "several lines"],
    ["a private key", "-----BEGIN\r\nAAAA\r\n-----END\r\n", "several lines"],
    ["a megabyte", "x".repeat(1024 * 1024), `longer than ${TYPED_MAX}`],
    ["what moves the cursor", `ok${ESCAPE}[2Jdrop`, "U+001B"],
    ["what reverses text", "user\u202egnp", "U+202E"],
  ])("and is %s is refused whole, with why, and nothing of it is shown", (_name, text, why) => {
    const filter = new KeyFilter(true);
    expect(inPieces(filter, pasted(text), 4_096)).toBe("\r");
    expect(filter.takeRefusal()).toContain(why);
  });

  test("is nothing where a choice is asked for", () => {
    expect(new KeyFilter(false).pass(pasted("y\n"))).toBe("");
  });
});
