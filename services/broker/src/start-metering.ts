import type { Server } from "node:http";
import type { Parts } from "@mayfly/composition";
import type { ReadinessCheck } from "./http/routes/health.ts";
import { unmetered, type RequestMeter } from "./http/request-meter.ts";
import type { ServedTls } from "./tls-reload.ts";

type Metrics = Parts["metrics"];

export const requestMeter = (metrics: Metrics): RequestMeter =>
  metrics === null
    ? unmetered
    : {
        began: () => {
          metrics.change("mayfly_http_requests_in_flight", {}, 1);
          return ({ method, route, status, seconds }) => {
            metrics.change("mayfly_http_requests_in_flight", {}, -1);
            const labels = { method, route, status: String(status) };
            metrics.add("mayfly_http_requests_total", labels);
            metrics.observe("mayfly_http_request_seconds", { route }, seconds);
          };
        },
      };

export function countConnections(server: Server, metrics: Metrics): void {
  if (metrics === null) return;
  metrics.add("mayfly_http_connections_refused_total", {}, 0);
  server.on("drop", () => metrics.add("mayfly_http_connections_refused_total", {}));
  metrics.beforeScrape(
    () =>
      new Promise((resolve, reject) => {
        server.getConnections((error, count) => {
          if (error !== null) {
            reject(error);
            return;
          }
          metrics.set("mayfly_http_connections", {}, count);
          resolve();
        });
      }),
  );
}

export function countCertificate(
  { metrics, clock }: Pick<Parts, "metrics" | "clock">,
  served: ServedTls | null,
): void {
  if (metrics === null || served === null) return;
  metrics.beforeScrape(async () => {
    const seconds = (served.expiresAt() - clock.now()) / 1000;
    metrics.set("mayfly_tls_certificate_expires_seconds", {}, seconds);
  });
}

/** A scrape waits no longer for the checks, of which one asks the ledger. */
const READINESS_WAIT_MS_MAX = 1_000;

/** A check that is not answered in time is one that is not ok. */
export function countReadiness(
  { metrics, clock }: Pick<Parts, "metrics" | "clock">,
  look: () => Promise<readonly ReadinessCheck[]>,
): void {
  if (metrics === null) return;
  metrics.beforeScrape(async () => {
    const done = new AbortController();
    const late = clock.sleep(READINESS_WAIT_MS_MAX, done.signal).then(
      () => null,
      () => null,
    );
    const checks = await Promise.race([look(), late]);
    done.abort();
    const isReady = checks?.every(({ ok, isRequired }) => ok || !isRequired) ?? false;
    metrics.set("mayfly_broker_ready", {}, isReady ? 1 : 0);
  });
}
