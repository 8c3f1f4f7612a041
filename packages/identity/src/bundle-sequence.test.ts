import { describe, expect, test } from "vitest";
import { readBundleSequence } from "./bundle-sequence.ts";

const withSequence = (written: string): string => `{"keys": [], "spiffe_sequence": ${written}}`;

describe("the sequence of a bundle", () => {
  test.each([
    ["0", 0n],
    ["7", 7n],
    ["9007199254740992", 2n ** 53n],
    ["9007199254740993", 2n ** 53n + 1n],
    ["18446744073709551615", 2n ** 64n - 1n],
  ])("%s is kept to its last digit", (written, sequence) => {
    expect(readBundleSequence(withSequence(written))).toBe(sequence);
  });

  test("is none where the bundle has none, whatever is called so within it", () => {
    expect(readBundleSequence('{"keys": [{"spiffe_sequence": 9}]}')).toBeNull();
    expect(readBundleSequence("[]")).toBeNull();
  });

  test("is not looked for in a document that is nested beyond 64 levels", () => {
    expect(() => readBundleSequence("[".repeat(65) + "]".repeat(65))).toThrow("64 deep");
  });

  test.each([
    "-1",
    "-0",
    "7.5",
    "7.0",
    "1e3",
    "18446744073709551616",
    "1e999",
    '"7"',
    "null",
    "true",
    "[7]",
    "{}",
  ])("that is %s is refused by its name, and not passed over", (written) => {
    expect(() => readBundleSequence(withSequence(written))).toThrow(
      "spiffe_sequence is not a whole number from 0 to 18446744073709551615",
    );
  });
});
