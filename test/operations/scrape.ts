import type { RunningBroker } from "../harness/index.ts";

/** Takes a free port, and says in the log which. */
export const METRICS = { MAYFLY_METRICS_LISTEN: "127.0.0.1:0" };

export async function metricsUrlOf(one: Pick<RunningBroker, "line">): Promise<string> {
  const { port } = JSON.parse(await one.line("metrics are served")) as { readonly port: number };
  return `http://127.0.0.1:${port}/metrics`;
}

/** Samples by `name{label="value",…}`, labels in the order in which they are written. */
export type Samples = ReadonlyMap<string, number>;

export async function scrape(url: string): Promise<Samples> {
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
  return samplesOf(await response.text());
}

function samplesOf(text: string): Samples {
  const samples = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [, series = "", value = ""] = /^([a-zA-Z_:][^ ]*(?:\{.*\})?) (\S+)$/.exec(line) ?? [];
    if (series !== "") samples.set(series, value === "+Inf" ? Infinity : Number(value));
  }
  return samples;
}
