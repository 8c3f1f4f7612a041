import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
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
  const server = createServer(
    {
      headersTimeout: REQUEST_MS_MAX,
      requestTimeout: REQUEST_MS_MAX,
      maxHeaderSize: HEADER_BYTES_MAX,
    },
    (request, response) => {
      answer(request, response, metrics).catch((error: unknown) => {
        log.error("a scrape failed", {}, error);
        response.destroy();
      });
    },
  );
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

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  metrics: Metrics,
): Promise<void> {
  const path = (request.url ?? "").replace(/\?.*$/, "");
  if (path !== "/metrics") {
    response.writeHead(404).end();
    return;
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.writeHead(405, { allow: "GET, HEAD" }).end();
    return;
  }
  const text = await metrics.text();
  const open = prefersOpenMetrics(request.headers.accept ?? "");
  const body = open ? openMetricsOf(text) : text;
  response.writeHead(200, {
    "content-type": open ? OPEN_METRICS_TYPE : TEXT_TYPE,
    "cache-control": "no-store",
    vary: "accept",
  });
  response.end(request.method === "HEAD" ? undefined : body);
}
