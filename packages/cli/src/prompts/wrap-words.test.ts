import fc from "fast-check";
import { expect, test } from "vitest";
import { wrapWords } from "./wrap-words.ts";

test("a text is broken between words, and nothing of it is lost", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), fc.integer({ min: 1, max: 60 }), (text, columns) => {
      const lines = wrapWords(text, columns);
      expect(lines.join(" ")).toBe(text);
      for (const line of lines) {
        expect(line.length <= columns || !line.includes(" ")).toBe(true);
      }
    }),
    { seed: 20_261_130 },
  );
});
