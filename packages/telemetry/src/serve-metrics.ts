import type { Log } from "@mayfly/spec";
import type { Metrics } from "./metrics.ts";
import { OPEN_METRICS_TYPE, openMetricsOf, prefersOpenMetrics, TEXT_TYPE } from "./open-metrics.ts";
import { serveInternally, type InternalListener } from "./serve-internally.ts";

/** `GET /metrics`, for scrapers. */
export async function serveMetrics(
  listen: { readonly host: string; readonly port: number },
  metrics: Metrics,
  log: Log,
): Promise<InternalListener> {
  const answer = (request: Request): Promise<Response> => answerScrape(request, metrics);
  const served = await serveInternally(listen, { what: "metrics", answer }, log);
  return { ...served, url: `${served.url}/metrics` };
}

async function answerScrape(request: Request, metrics: Metrics): Promise<Response> {
  if (new URL(request.url).pathname !== "/metrics") return new Response(null, { status: 404 });
  if (request.method !== "GET" && request.method !== "HEAD") {
    return new Response(null, { status: 405, headers: { allow: "GET, HEAD" } });
  }
  const text = await metrics.text();
  const open = prefersOpenMetrics(request.headers.get("accept") ?? "");
  const headers = {
    "content-type": open ? OPEN_METRICS_TYPE : TEXT_TYPE,
    "cache-control": "no-store",
    vary: "accept",
  };
  const body = open ? openMetricsOf(text) : text;
  return new Response(request.method === "HEAD" ? null : body, { headers });
}
