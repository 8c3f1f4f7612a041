import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import type { Log } from "@mayfly/spec";
import type { Metrics } from "./metrics.ts";
import { OPEN_METRICS_TYPE, openMetricsOf, prefersOpenMetrics, TEXT_TYPE } from "./open-metrics.ts";

export interface MetricsListener {
  readonly url: string;
  close(): Promise<void>;
}

/** Scrapers are few. */
const CONNECTIONS_MAX = 64;
const REQUEST_MS_MAX = 10_000;
const HEADER_BYTES_MAX = 8 * 1024;

/**
 * `GET /metrics` on an address of its own: whoever can reach the public port learns nothing from
 * it. It asks for no credential, so it belongs on loopback or on a network of the scraper's.
 */
export async function serveMetrics(
  listen: { readonly host: string; readonly port: number },
  metrics: Metrics,
  log: Log,
): Promise<MetricsListener> {
  const fetch = (request: Request): Promise<Response> =>
    answer(request, metrics).catch((error: unknown) => {
      log.error("a scrape failed", {}, error);
      return new Response(null, { status: 500 });
    });
  const serverOptions = {
    headersTimeout: REQUEST_MS_MAX,
    requestTimeout: REQUEST_MS_MAX,
    maxHeaderSize: HEADER_BYTES_MAX,
  };
  // Without `createServer` of another protocol it is one of HTTP/1.1.
  const server = createAdaptorServer({ fetch, serverOptions }) as Server;
  server.maxConnections = CONNECTIONS_MAX;
  await listening(server, listen);
  // Of a server that listens on a port, never a pipe's path.
  const { port } = server.address() as AddressInfo;
  const host = listen.host.includes(":") ? `[${listen.host}]` : listen.host;
  log.info("metrics are served", { host, port });
  return {
    url: `http://${host}:${port}/metrics`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listening(server: Server, { host, port }: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

async function answer(request: Request, metrics: Metrics): Promise<Response> {
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
