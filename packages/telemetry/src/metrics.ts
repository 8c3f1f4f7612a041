import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { METRICS } from "./metric-definitions.ts";

type Definition = (typeof METRICS)[number];
type Named<N extends string> = Extract<Definition, { name: N }>;
type NamesOf<K extends Definition["kind"]> = Extract<Definition, { kind: K }>["name"];
export type CounterName = NamesOf<"counter">;
export type GaugeName = NamesOf<"gauge">;
export type HistogramName = NamesOf<"histogram">;
export type LabelsOf<N extends string> = Readonly<Record<Named<N>["labels"][number], string>>;

/** What a process counts. Every call is cheap, and none throws for what it was given. */
export interface Metrics {
  add<N extends CounterName>(name: N, labels: LabelsOf<N>, by?: number): void;
  observe<N extends HistogramName>(name: N, labels: LabelsOf<N>, value: number): void;
  set<N extends GaugeName>(name: N, labels: LabelsOf<N>, value: number): void;
  change<N extends GaugeName>(name: N, labels: LabelsOf<N>, by: number): void;
  /** Drops all series of gauges: what is not known now is left out, not shown as it was. */
  forget(names: readonly GaugeName[]): void;
  /** Runs before each scrape, with all others; a failure or a delay of one spoils none. */
  beforeScrape(read: () => Promise<void>): void;
  /** All metrics as Prometheus text, version 0.0.4. */
  text(): Promise<string>;
}

/** Counts nothing. */
export const unmeasured: Metrics = {
  add: () => undefined,
  observe: () => undefined,
  set: () => undefined,
  change: () => undefined,
  forget: () => undefined,
  beforeScrape: () => undefined,
  text: () => Promise.resolve(""),
};

/**
 * Distinct values of one label: backends are registered by administrators, and a platform with more
 * of them than this sees the rest as `other`.
 */
const LABEL_VALUES_MAX = 500;
const OTHER = "other";

/** The metrics of one process, or of one of two that share a process: nothing global. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const counters = new Map<string, Counter>();
  const gauges = new Map<string, Gauge>();
  const histograms = new Map<string, Histogram>();
  for (const metric of METRICS) {
    const { name, meaning: help } = metric;
    const shared = { name, help, labelNames: [...metric.labels], registers: [registry] };
    switch (metric.kind) {
      case "counter":
        counters.set(name, new Counter(shared));
        break;
      case "gauge":
        gauges.set(name, new Gauge(shared));
        break;
      case "histogram":
        histograms.set(name, new Histogram({ ...shared, buckets: [...metric.buckets] }));
        break;
    }
  }
  collectDefaultMetrics({ register: registry });
  const forget = (name: string): void => {
    const gauge = gauges.get(name);
    gauge?.reset();
    if (METRICS.some((metric) => metric.name === name && metric.labels.length === 0)) {
      gauge?.remove();
    }
  };
  // A gauge without labels starts at 0; what was not read yet is to be left out.
  for (const name of gauges.keys()) forget(name);
  const bounded = createLabelBounds();
  const reads: (() => Promise<void>)[] = [];
  return {
    add: (name, labels, by = 1) => counters.get(name)?.inc(bounded(labels), by),
    observe: (name, labels, value) => histograms.get(name)?.observe(bounded(labels), value),
    set: (name, labels, value) => gauges.get(name)?.set(bounded(labels), value),
    change: (name, labels, by) => gauges.get(name)?.inc(bounded(labels), by),
    forget: (names) => {
      for (const name of names) forget(name);
    },
    beforeScrape: (read) => {
      reads.push(read);
    },
    text: async () => {
      await Promise.allSettled(reads.map((read) => read()));
      return registry.metrics();
    },
  };
}

/** What a label has shown so far stays; a value beyond the bound becomes `other`. */
function createLabelBounds() {
  const seen = new Map<string, Set<string>>();
  return (labels: Readonly<Record<string, string>>): Record<string, string> => {
    const shown: Record<string, string> = {};
    for (const [name, value] of Object.entries(labels)) {
      let values = seen.get(name);
      if (values === undefined) seen.set(name, (values = new Set()));
      const fits = values.has(value) || values.size < LABEL_VALUES_MAX;
      if (fits) values.add(value);
      shown[name] = fits ? value : OTHER;
    }
    return shown;
  };
}
