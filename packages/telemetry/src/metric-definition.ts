/** A metric as data. `unit` is in words where the name does not end in it. */
export type MetricDefinition = {
  readonly name: `mayfly_${string}`;
  readonly labels: readonly string[];
  readonly unit: string;
  readonly meaning: string;
} & (
  | { readonly kind: "counter" | "gauge" }
  | { readonly kind: "histogram"; readonly buckets: readonly number[] }
);

/** Keeps the names as a tuple of literals, an empty one too. */
export const labelNames = <const L extends readonly string[]>(...labels: L): L => labels;
