/** What a process tells those who run it: metrics, and where its time goes. */
export { METRICS } from "./metric-definitions.ts";
export { metricsPage } from "./metrics-page.ts";
export { createMetrics, unmeasured, type Metrics } from "./metrics.ts";
export { serveInternally, type InternalListener } from "./serve-internally.ts";
export { serveMetrics } from "./serve-metrics.ts";
