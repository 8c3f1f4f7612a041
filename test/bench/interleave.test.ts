import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { interleave, median, quantile } from "./interleave.ts";

const numbers = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1 });

describe("interleave", () => {
  it("runs both in turn, and another is first in each round", async () => {
    const order: string[] = [];
    const side = (name: string) => async (round: number) => {
      order.push(`${name}${round}`);
      return round + 1;
    };
    await interleave(3, side("ours"), side("theirs"), () => 1);
    expect(order).toEqual(["ours0", "theirs0", "theirs1", "ours1", "ours2", "theirs2"]);
  });
  it("compares the two of one round, and tells the median, the least and the greatest", async () => {
    const of = (values: readonly number[]) => async (round: number) => values[round] ?? 0;
    const result = await interleave(3, of([2, 9, 4]), of([1, 3, 4]), (a, b) => a / b);
    expect(result).toEqual({ ratio: 2, spread: [1, 3], ours: [2, 9, 4], theirs: [1, 3, 4] });
  });
});

describe("a quantile", () => {
  it("is the least value that so many do not exceed", () => {
    const hundred = Array.from({ length: 100 }, (_, n) => 100 - n);
    expect(quantile(hundred, 0.5)).toBe(50);
    expect(quantile(hundred, 0.99)).toBe(99);
    expect(quantile(hundred, 1)).toBe(100);
    expect(quantile([7], 0.99)).toBe(7);
  });
  it("is one of the values, and as many as it says are not above it", () => {
    fc.assert(
      fc.property(numbers, fc.double({ min: 0.01, max: 1, noNaN: true }), (values, q) => {
        const found = quantile(values, q);
        expect(values).toContain(found);
        const below = values.filter((value) => value < found).length;
        const upTo = values.filter((value) => value <= found).length;
        expect(below).toBeLessThan(q * values.length + 1e-9);
        expect(upTo).toBeGreaterThanOrEqual(q * values.length - 1e-9);
      }),
    );
  });
  it("of nothing is no number", () => {
    expect(quantile([], 0.5)).toBeNaN();
    expect(median([])).toBeNaN();
  });
});

it("a median of two lies half-way, of three in the middle", () => {
  expect(median([4, 2])).toBe(3);
  expect(median([9, 1, 2])).toBe(2);
});
