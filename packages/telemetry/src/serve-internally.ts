import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import type { Log } from "@mayfly/spec";

export interface InternalListener {
  /** Without a path. */
  readonly url: string;
  close(): Promise<void>;
}

export interface InternalService {
  /** What is served, in the log: `metrics are served`. */
  readonly what: "metrics" | "health";
  answer(request: Request): Promise<Response>;
}

/** Who asks is few: scrapers, supervisors. */
const CONNECTIONS_MAX = 64;
const REQUEST_MS_MAX = 10_000;
const HEADER_BYTES_MAX = 8 * 1024;

/**
 * Serves those who run the process, on an address of its own: whoever can reach the public port
 * learns nothing from it. It asks for no credential, so it belongs on loopback or on a network of
 * theirs.
 */
export async function serveInternally(
  listen: { readonly host: string; readonly port: number },
  service: InternalService,
  log: Log,
): Promise<InternalListener> {
  const fetch = (request: Request): Promise<Response> =>
    service.answer(request).catch((error: unknown) => {
      log.error(`serving ${service.what} failed`, {}, error);
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
  log.info(`${service.what} ${service.what === "metrics" ? "are" : "is"} served`, { host, port });
  return {
    url: `http://${host}:${port}`,
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
