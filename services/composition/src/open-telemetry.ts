import { stat } from "node:fs/promises";
import { createTraceScope, scopedTracer, systemClock, type TraceScope } from "@mayfly/host";
import type { WorkerSettings } from "@mayfly/settings";
import { BrokerError, type Clock, type Log, type Tracer } from "@mayfly/spec";
import type { Ledger } from "@mayfly/postgres";
import { createMetrics, serveMetrics, type Metrics } from "@mayfly/telemetry";
import { readLedgerBeforeScrapes } from "./observed/ledger-readings.ts";
import type { Observing } from "./observed/observe.ts";

/** What watches a process. Metrics and spans are made only where somebody asked for them. */
export interface Telemetry {
  readonly scope: TraceScope;
  readonly tracer: Tracer;
  /** Null: not served, so not counted. */
  readonly metrics: Metrics | null;
  /** Null: nobody watches. */
  readonly observing: Observing | null;
  /** Its counts are read before each scrape. */
  watchLedger(ledger: Pick<Ledger, "queries" | "signingKeys">): void;
  /** Serves what is counted, if it is to be served. */
  serve(log: Log): Promise<void>;
  close(): Promise<void>;
}

export function openTelemetry(settings: WorkerSettings, service: "broker" | "worker"): Telemetry {
  const scope = createTraceScope();
  const closing = new AsyncDisposableStack();
  const tracer = scopedTracer(scope);
  const { metricsListen } = settings;
  const metrics = metricsListen === null ? null : createMetrics();
  metrics?.set("mayfly_build_info", { service, version: "0.0.0", node: process.version }, 1);
  metrics?.set("mayfly_ledger_connections_max", {}, settings.databaseConnections);
  if (metrics !== null) watchKeyFile(metrics, settings.sealingKeyFile, systemClock);
  return {
    scope,
    tracer,
    metrics,
    observing: metrics === null ? null : { metrics, tracer, clock: systemClock },
    watchLedger: (ledger) => {
      if (metrics === null) return;
      const { signingKeys, queries } = ledger;
      const counts = () => queries.counts();
      readLedgerBeforeScrapes({ metrics, clock: systemClock, counts, signingKeys });
    },
    serve: async (log) => {
      if (metrics === null || metricsListen === null) return;
      const listener = await serveMetrics(metricsListen, metrics, log).catch(cannotListen);
      closing.defer(() => listener.close());
    },
    close: () => closing.disposeAsync(),
  };
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
