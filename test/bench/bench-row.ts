import type { BenchWorld } from "./bench-world.ts";

/** A target of `docs/benchmarks.md`: one ratio of two things that were measured in the same run. */
export interface BenchRow {
  /** As `--only` and the JSON name it. */
  readonly name: string;
  /** What is compared, for a person. */
  readonly title: string;
  readonly target: Target;
  /** Answers null when the rival is absent, after saying so with {@link BenchWorld.say}. */
  run(world: BenchWorld): Promise<RowResult | null>;
}

export interface Target {
  readonly ratio: number;
  readonly is: "at_least" | "at_most";
}

export interface RowResult {
  /** The median over the rounds. */
  readonly ratio: number;
  /** The least and the greatest ratio of a round. */
  readonly spread: readonly [number, number];
  /** What was measured, a line each: rates, latencies, counts, conditions. */
  readonly facts: readonly string[];
  /** What else the row wants, each a ratio of its own; one that is missed makes the row missed. */
  readonly also?: readonly FurtherTarget[];
  /** Conditions beside the ratio that were not kept; any makes the row missed. */
  readonly broken: readonly string[];
}

/** A ratio that a row wants beside its own. */
export interface FurtherTarget {
  readonly name: string;
  readonly ratio: number;
  readonly target: Target;
}

/** NaN, of a round without a reply, reaches nothing. */
export const reaches = ({ is, ratio: wanted }: Target, ratio: number): boolean =>
  is === "at_least" ? ratio >= wanted : ratio <= wanted;

export const isMet = (target: Target, { ratio, also = [], broken }: RowResult): boolean =>
  broken.length === 0 &&
  reaches(target, ratio) &&
  also.every((one) => reaches(one.target, one.ratio));

export const shownTarget = ({ is, ratio }: Target): string =>
  `${is === "at_least" ? "≥" : "≤"} ${ratio}`;

/** An entry of `--json`: one for each row, and within it one for each of its further targets. */
export interface JsonTarget {
  readonly name: string;
  readonly ratio: number;
  readonly target: number;
  /** Of a row: its own ratio, its further ones and its conditions. */
  readonly met: boolean;
  readonly also?: readonly JsonTarget[];
}

export function jsonTarget({ name, target }: BenchRow, result: RowResult): JsonTarget {
  const { also = [] } = result;
  return {
    name,
    ratio: rounded(result.ratio),
    target: target.ratio,
    met: isMet(target, result),
    ...(also.length === 0 ? {} : { also: also.map(jsonFurther) }),
  };
}

const jsonFurther = ({ name, ratio, target }: FurtherTarget): JsonTarget => ({
  name,
  ratio: rounded(ratio),
  target: target.ratio,
  met: reaches(target, ratio),
});

const rounded = (ratio: number): number => Number(ratio.toFixed(4));
