export const TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8";
export const OPEN_METRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/**
 * Prometheus text as OpenMetrics 1.0 text, which differs in three ways here: a counter's family is
 * named without `_total`, there are no empty lines, and the end is said. The library can write
 * either, but renames the counters for good when it writes the second.
 */
export function openMetricsOf(text: string): string {
  const lines = text.split("\n").filter((line) => line !== "");
  const counters = new Set(
    lines.flatMap((line) => /^# TYPE (\S+)_total counter$/.exec(line)?.[1] ?? []),
  );
  const renamed = lines.map((line) => {
    const family = /^(# (?:TYPE|HELP) )(\S+)_total( .*)$/.exec(line);
    const [, head = "", name = "", rest = ""] = family ?? [];
    return counters.has(name) ? `${head}${name}${rest}` : line;
  });
  return `${renamed.join("\n")}\n# EOF\n`;
}

/** RFC 9110 section 12.5.1: OpenMetrics if the client prefers it to plain text; else text. */
export function prefersOpenMetrics(accept: string): boolean {
  const quality = (type: string): number => {
    for (const range of accept.split(",")) {
      const [name = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
      if (name !== type) continue;
      const q = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2) ?? "1";
      return /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(q) ? Number(q) : 0;
    }
    return 0;
  };
  const open = quality("application/openmetrics-text");
  return open > 0 && open >= quality("text/plain");
}
