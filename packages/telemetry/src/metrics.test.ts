import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { createMetrics, METRICS, metricsPage } from "./index.ts";
import { openMetricsOf, prefersOpenMetrics } from "./open-metrics.ts";

describe("metrics", () => {
  it("are listed on docs/metrics.md, which is generated", () => {
    const page = readFileSync(new URL("../../../docs/metrics.md", import.meta.url), "utf8");
    expect(page).toBe(metricsPage());
  });

  it("are named for their unit, counters for being a total, and each once", () => {
    const names = METRICS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { kind, name, unit } of METRICS) {
      expect(name.endsWith("_total"), name).toBe(kind === "counter");
      expect(name.endsWith("_seconds"), name).toBe(unit === "seconds");
    }
  });

  it("show at most 500 values of a label, and the rest as one", async () => {
    const metrics = createMetrics();
    for (let n = 0; n < 2000; n++) metrics.add("mayfly_orphans_total", { backend: `b${n}` });
    const lines = (await metrics.text()).split("\n");
    const series = lines.filter((line) => line.startsWith("mayfly_orphans_total{"));
    expect(series).toHaveLength(501);
    expect(series).toContain('mayfly_orphans_total{backend="other"} 1500');
  });

  it("leave out what was forgotten, and are there when one reading fails", async () => {
    const metrics = createMetrics();
    metrics.set("mayfly_tasks_active", {}, 3);
    metrics.beforeScrape(() => Promise.reject(new Error("unreadable")));
    expect(await metrics.text()).toMatch(/^mayfly_tasks_active 3$/m);
    metrics.forget(["mayfly_tasks_active"]);
    expect(await metrics.text()).not.toMatch(/^mayfly_tasks_active/m);
  });

  it("become OpenMetrics text: families without _total, no empty line, an end", () => {
    const text =
      "# HELP a_total x\n# TYPE a_total counter\na_total 1\n\n# TYPE b_total gauge\nb_total 2\n";
    expect(openMetricsOf(text)).toBe(
      "# HELP a x\n# TYPE a counter\na_total 1\n# TYPE b_total gauge\nb_total 2\n# EOF\n",
    );
  });

  it.each([
    ["", false],
    ["*/*", false],
    ["text/plain", false],
    ["application/openmetrics-text; version=1.0.0", true],
    ["application/openmetrics-text;q=0.5,text/plain;q=0.9", false],
    ["application/openmetrics-text;q=0", false],
    ["application/openmetrics-text;q=x", false],
    ["text/plain;q=0.1, Application/OpenMetrics-Text ;version=1.0.0; q=0.75", true],
  ])("are OpenMetrics for Accept: %s? %s", (accept, open) => {
    expect(prefersOpenMetrics(accept)).toBe(open);
  });
});
