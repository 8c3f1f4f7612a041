import { describe, expect, it } from "vitest";
import { isMet, jsonTarget, type BenchRow, type RowResult } from "./bench-row.ts";

const AT_LEAST = { ratio: 2, is: "at_least" } as const;
const AT_MOST = { ratio: 0.3, is: "at_most" } as const;
const result = (ratio: number, rest: Partial<RowResult> = {}): RowResult => ({
  ratio,
  spread: [ratio, ratio],
  facts: [],
  broken: [],
  ...rest,
});

describe("a row is met", () => {
  it("from its target on, upwards or downwards", () => {
    expect([1.999, 2, 5].map((ratio) => isMet(AT_LEAST, result(ratio)))).toEqual([
      false,
      true,
      true,
    ]);
    expect([0.1, 0.3, 0.301].map((ratio) => isMet(AT_MOST, result(ratio)))).toEqual([
      true,
      true,
      false,
    ]);
  });
  it("by nothing that could not be measured", () => {
    expect(isMet(AT_LEAST, result(Number.NaN))).toBe(false);
    expect(isMet(AT_MOST, result(Number.NaN))).toBe(false);
  });
  it("not while a condition is broken or a further target is missed", () => {
    expect(isMet(AT_LEAST, result(3, { broken: ["a request failed"] }))).toBe(false);
    const further = (ratio: number) => [{ name: "p50 at c=1", ratio, target: AT_MOST }];
    expect(isMet(AT_LEAST, result(3, { also: further(0.4) }))).toBe(false);
    expect(isMet(AT_LEAST, result(3, { also: further(0.2) }))).toBe(true);
  });
});

it("a row is one entry of the JSON, with its further targets inside", () => {
  const row: BenchRow = { name: "rival", title: "", target: AT_LEAST, run: async () => null };
  const also = [{ name: "p50 at c=1", ratio: 0.123_456, target: AT_MOST }];
  expect(jsonTarget(row, result(1.5, { also }))).toEqual({
    name: "rival",
    ratio: 1.5,
    target: 2,
    met: false,
    also: [{ name: "p50 at c=1", ratio: 0.1235, target: 0.3, met: true }],
  });
  expect(jsonTarget(row, result(2))).toEqual({ name: "rival", ratio: 2, target: 2, met: true });
});
