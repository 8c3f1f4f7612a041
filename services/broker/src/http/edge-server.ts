import { createServer, type Server, type ServerOptions } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { getRequestListener, type Http2Bindings, type HttpBindings } from "@hono/node-server";
import { boundConnections, boundPipelining } from "./bound-connections.ts";
import { refuseEarly, unanswerable, type RefusalPorts } from "./early-refusals.ts";

export interface EdgeOptions extends RefusalPorts {
  readonly fetch: (
    request: Request,
    bindings: HttpBindings | Http2Bindings,
  ) => Response | Promise<Response>;
  readonly connectionsMax: number;
  /** Node's limits on a request: a slow or endless one is cut. */
  readonly limits: Pick<
    ServerOptions,
    "headersTimeout" | "requestTimeout" | "maxHeaderSize" | "connectionsCheckingInterval"
  >;
  /** PEM; null: plain HTTP. */
  readonly tls: { readonly cert: string; readonly key: string } | null;
  /** Default true. Tests of one process leave the platform's own Request and Response. */
  readonly overrideGlobalObjects?: boolean;
}

/** The HTTP server in front of the application, with all that is refused before it. Not listening. */
export function createEdgeServer(options: EdgeOptions): Server {
  const { tls, limits, overrideGlobalObjects } = options;
  const listener = getRequestListener(boundPipelining(options.fetch), {
    errorHandler: (error) => unanswerable(error, options),
    ...(overrideGlobalObjects === undefined ? {} : { overrideGlobalObjects }),
  });
  const server =
    tls === null
      ? createServer(limits, listener)
      : createTlsServer({ ...limits, ...tls, minVersion: "TLSv1.2" }, listener);
  boundConnections(server, options.connectionsMax);
  refuseEarly(server, options);
  return server;
}
