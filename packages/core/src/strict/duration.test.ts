import fc from "fast-check";
import { expect, test } from "vitest";
import { parseDuration } from "./duration.ts";

const BOUNDS = { min: 0, max: 10_000_000 };

test.each([
  ["15m", 900],
  ["90s", 90],
  ["2h", 7200],
  ["1d", 86_400],
  ["0s", 0],
  [60, 60],
])("%j is %d seconds", (input, seconds) => {
  expect(parseDuration(input, "deadline", BOUNDS)).toBe(seconds);
});

test.each([
  "",
  "15",
  "15 m",
  "m",
  "-1m",
  "1.5h",
  "015m",
  "1m30s",
  "1M",
  "1e3s",
  -1,
  1.5,
  NaN,
  Infinity,
  null,
  {},
  [],
])("%j is no duration, and the message says where", (input) => {
  expect(() => parseDuration(input, "deadline", BOUNDS)).toThrow(/^deadline: expected/);
});

test("seconds and their text are the same, and bounds hold", () => {
  fc.assert(
    fc.property(fc.nat({ max: 99_999 }), fc.constantFrom("s", "m", "h"), (count, unit) => {
      const seconds = count * { s: 1, m: 60, h: 3600 }[unit];
      const bounds = { min: 10, max: 1000 };
      const parse = (input: unknown) => () => parseDuration(input, "ttl", bounds);
      for (const input of [`${count}${unit}`, seconds]) {
        if (seconds >= 10 && seconds <= 1000) expect(parse(input)()).toBe(seconds);
        else expect(parse(input)).toThrow("ttl: expected 10 to 1000 seconds");
      }
    }),
  );
});
