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
  /** Conditions beside the ratio that were not kept; any makes the row missed. */
  readonly broken: readonly string[];
}

export const isMet = ({ is, ratio: wanted }: Target, { ratio, broken }: RowResult): boolean =>
  broken.length === 0 && (is === "at_least" ? ratio >= wanted : ratio <= wanted);
