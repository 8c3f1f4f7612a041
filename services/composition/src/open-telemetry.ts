import { stat } from "node:fs/promises";
import {
  createTraceScope,
  scopedTracer,
  systemClock,
  systemRandom,
  type TraceScope,
} from "@mayfly/host";
import type { SharedSettings } from "@mayfly/settings";
import { BrokerError, type Clock, type Log, type Tracer } from "@mayfly/spec";
import type { Ledger } from "@mayfly/postgres";
import { createMetrics, serveMetrics, unmeasured, type Metrics } from "@mayfly/telemetry";
import type { OtlpTracer } from "@mayfly/telemetry/traces";
import { readLedgerBeforeScrapes } from "./observed/ledger-readings.ts";
import type { Observing } from "./observed/observe.ts";

/** Of the workspace, whose packages are not published one by one. */
const VERSION = "0.0.0";

/** What watches a process. Metrics and spans are made only where somebody asked for them. */
export interface Telemetry {
  /** Its lines bear the trace that they were written in. */
  readonly log: Log;
  readonly tracer: Tracer;
  /** Null: not served, so not counted. */
  readonly metrics: Metrics | null;
  /** Null: nobody watches. */
  readonly observing: Observing | null;
  /** Its counts are read before each scrape. */
  watchLedger(ledger: Pick<Ledger, "queries" | "signingKeys">): void;
  /** Serves what is counted, if it is to be served. */
  serve(): Promise<void>;
  close(): Promise<void>;
}

export async function openTelemetry(
  settings: SharedSettings,
  service: "broker" | "worker",
  logTo: (scope: TraceScope) => Log,
): Promise<Telemetry> {
  const scope = createTraceScope();
  const log = logTo(scope);
  const closing = new AsyncDisposableStack();
  const traces = await openTraces(settings, { service, scope, log });
  if (traces !== null) closing.defer(() => traces.close());
  const tracer = traces ?? scopedTracer(scope);
  const { metricsListen } = settings;
  const metrics = metricsListen === null ? null : createMetrics();
  metrics?.set("mayfly_build_info", { service, version: VERSION, node: process.version }, 1);
  metrics?.set("mayfly_ledger_connections_max", {}, settings.databaseConnections);
  if (metrics !== null) beginAtZero(metrics);
  if (metrics !== null) watchKeyFile(metrics, settings.sealingKeyFile, systemClock);
  const watched = metrics !== null || traces !== null;
  return {
    log,
    tracer,
    metrics,
    observing: watched ? { metrics: metrics ?? unmeasured, tracer, clock: systemClock } : null,
    watchLedger: (ledger) => {
      if (metrics === null) return;
      const signingKeys = service === "broker" ? ledger.signingKeys : null;
      const counts = () => ledger.queries.counts();
      readLedgerBeforeScrapes({ metrics, clock: systemClock, counts, signingKeys });
    },
    serve: async () => {
      if (metrics === null || metricsListen === null) return;
      const listener = await serveMetrics(metricsListen, metrics, log).catch(cannotListen);
      closing.defer(() => listener.close());
    },
    close: () => closing.disposeAsync(),
  };
}

/** Of what an alert counts, the first must be an increase and not the beginning of a series. */
function beginAtZero(metrics: Metrics): void {
  for (const part of ["catalog", "backend"]) {
    metrics.add("mayfly_config_load_failures_total", { part }, 0);
  }
  for (const kind of ["at", "now"]) {
    metrics.add("mayfly_queue_wake_ups_total", { kind, outcome: "failed" }, 0);
  }
}

interface TracedProcess {
  readonly service: "broker" | "worker";
  readonly scope: TraceScope;
  readonly log: Log;
}

/** The library is loaded only where spans are sent. */
async function openTraces(
  { tracesUrl, tracesHeaders, tracesRatio }: SharedSettings,
  { service, scope, log }: TracedProcess,
): Promise<OtlpTracer | null> {
  if (tracesUrl === null) return null;
  const { createOtlpTracer } = await import("@mayfly/telemetry/traces");
  return createOtlpTracer({
    url: tracesUrl,
    headers: tracesHeaders === null ? {} : headersOf(tracesHeaders.expose("upstream")),
    ratio: tracesRatio,
    resource: {
      "service.name": `mayfly-${service}`,
      "service.namespace": "mayfly",
      "service.version": VERSION,
      "service.instance.id": Buffer.from(systemRandom.bytes(16)).toString("hex"),
    },
    scope,
    clock: systemClock,
    log,
  });
}

/** `name=value,name=value`; the message never shows a value. */
function headersOf(text: string): Readonly<Record<string, string>> {
  const pairs = text.split(",").map((pair): readonly [string, string] => {
    const [, name, value] = /^\s*([A-Za-z0-9-]+)=([\x21-\x7e][\x20-\x7e]*?)\s*$/.exec(pair) ?? [];
    if (name !== undefined && value !== undefined) return [name, value];
    const what = "MAYFLY_TRACES_HEADERS: expected name=value, separated by commas.";
    throw new BrokerError("config_invalid", what, { where: "MAYFLY_TRACES_HEADERS" });
  });
  return Object.fromEntries(pairs);
}

function cannotListen(cause: unknown): never {
  throw new BrokerError(
    "config_invalid",
    "MAYFLY_METRICS_LISTEN: this address cannot be listened on; free it, or name another.",
    { where: "MAYFLY_METRICS_LISTEN", cause },
  );
}

function watchKeyFile(metrics: Metrics, file: string | null, clock: Clock): void {
  if (file === null) return;
  metrics.beforeScrape(async () => {
    metrics.forget(["mayfly_sealing_key_file_age_seconds"]);
    const { mtimeMs } = await stat(file);
    const ageSeconds = Math.max(0, (clock.now() - mtimeMs) / 1000);
    metrics.set("mayfly_sealing_key_file_age_seconds", {}, ageSeconds);
  });
}
