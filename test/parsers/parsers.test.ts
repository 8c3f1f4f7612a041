import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { damagedText } from "./damaged-text.ts";
import { throwingParser } from "./fuzzed-parser.ts";
import { PARSERS } from "./parsers.ts";
import { runParser } from "./run-parser.ts";

/** `npm run fuzz:parsers` gives each a million. */
const INPUTS = 3000;

describe("parsers that meet strangers' bytes", () => {
  test.each(PARSERS.map((parser) => [parser.name, parser] as const))(
    "%s throws only its own error, and what it accepts encodes to the same again",
    async (_name, parser) => {
      const seed = new Date().toISOString();
      const run = await runParser(parser, INPUTS, seed);
      expect(run.found, `seed ${seed}`).toBe(null);
      expect(run.inputs).toBe(INPUTS);
      // Some inputs are sound and some are not, or nothing is tested.
      expect(run.accepted, `seed ${seed}`).toBeGreaterThan(INPUTS / 100);
      expect(run.accepted, `seed ${seed}`).toBeLessThan(INPUTS);
    },
  );

  test("would be found out by an error of another kind, and by a second meaning", async () => {
    const of = (parse: (text: string) => string, again: (text: string) => void) =>
      throwingParser({
        name: "planted",
        inputs: damagedText(["abc"]),
        parse,
        isOwn: (error) => error instanceof RangeError,
        again,
      });
    const throws = of(
      (text) => {
        if (text.includes("{")) throw new TypeError("planted");
        return text;
      },
      () => undefined,
    );
    expect((await runParser(throws, 5000, "1")).found).toContain("not its own error");
    const trims = of(
      (text) => text.trim(),
      () => undefined,
    );
    expect((await runParser(trims, 500, "1")).found).toBe(null);
    const differs = of(
      (text) => text,
      (text) => {
        if (text.trim() !== text) throw new Error("encodes to another");
      },
    );
    expect((await runParser(differs, 5000, "1")).found).toContain("encodes to another");
  });

  test("get the same inputs from the same seed", () => {
    const sample = (): readonly string[] =>
      fc.sample(damagedText(["abc"]), { seed: 7, numRuns: 50 });
    expect(sample()).toEqual(sample());
  });
});
