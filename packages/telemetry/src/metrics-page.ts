import { METRICS } from "./metric-definitions.ts";

/** The text of `docs/metrics.md`; a test compares it with the file. */
export function metricsPage(): string {
  const rows = METRICS.map(({ name, kind, labels, unit, meaning }) => {
    const shown = labels.length === 0 ? "none" : labels.map((label) => `\`${label}\``).join(", ");
    return `| \`${name}\` | ${kind} | ${shown} | ${unit} | ${meaning} |`;
  });
  return `# Metrics

Broker and worker serve Prometheus metrics where \`MAYFLY_METRICS_LISTEN\` says, at \`/metrics\`, as
Prometheus text or OpenMetrics, whichever the scraper prefers. Nothing is counted where it is not
set. The listener asks for no credential and is never the public port.

What is read from the ledger is the same in every process that can reach it: take the \`max\`,
never the \`sum\`. It is read at most every five seconds, however many scrape, and left out while
the ledger does not answer. What is counted is of one process, since its start. No label holds a
workload, a task, a lease or any text of a caller; at most 500 values of a label are told apart,
the rest is \`other\`. Beside these there are Node's own, \`process_…\` and \`nodejs_…\`: memory, CPU, open files,
event loop lag, garbage collection.

Dashboards are in \`infra/grafana\`, alert rules in \`infra/prometheus\`; a test checks every name that
they use against this list.

This page is generated from \`packages/telemetry/src/metric-definitions.ts\`, by
\`node packages/telemetry/src/write-metrics-page.ts\`.

| metric | type | labels | unit | meaning |
| --- | --- | --- | --- | --- |
${rows.join("\n")}
`;
}
