import { constants } from "node:crypto";
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from "node:http";
import { createServer as createTlsServer } from "node:https";
import { getRequestListener, type Http2Bindings, type HttpBindings } from "@hono/node-server";
import type { Clock } from "@mayfly/spec";
import {
  boundConnections,
  boundPipelining,
  boundSources,
  type SourceBounds,
} from "./bound-connections.ts";
import { refuseFlood, type FloodPorts } from "./flood-refusals.ts";
import { refuseEarly, unanswerable } from "./early-refusals.ts";
import { createUnreadAnswers } from "./unread-answers.ts";

export interface EdgeOptions extends FloodPorts, SourceBounds {
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
  /** How long the reader of a whole answer may take for it, until its connection is cut. */
  readonly unreadMsMax: number;
  readonly clock: Clock;
  /** PEM; null: plain HTTP. */
  readonly tls: TlsCertificate | null;
  /** Default true. Tests of one process leave the platform's own Request and Response. */
  readonly overrideGlobalObjects?: boolean;
}

export interface EdgeServer {
  readonly server: Server;
  /** Serves another pair to new connections. */
  readonly setCertificate: (pair: TlsCertificate) => void;
}
export interface TlsCertificate {
  readonly cert: string;
  readonly key: string;
}

/**
 * The HTTP server in front of the application, with all that is refused before it. It does not
 * listen yet.
 */
export function createEdgeServer(options: EdgeOptions): EdgeServer {
  const { tls, limits, overrideGlobalObjects } = options;
  // What it can make no request of, the adapter says before it first waits.
  let head: IncomingMessage | null = null;
  const answer = getRequestListener(options.fetch, {
    errorHandler: (error) => unanswerable(error, head, options),
    ...(overrideGlobalObjects === undefined ? {} : { overrideGlobalObjects }),
  });
  const answered = (request: IncomingMessage, response: ServerResponse): void => {
    head = request;
    const answering = answer(request, response);
    head = null;
    answering.then(
      () => boundUnread(request.socket, response),
      // What fails in it is answered by the error handler: there is nothing to wait for.
      () => response.destroy(),
    );
  };
  const listener = boundPipelining(refuseFlood(answered, options));
  const edge = tls === null ? plain(limits, listener) : encrypted(limits, tls, listener);
  const boundUnread = createUnreadAnswers(edge.server, options.unreadMsMax, options.clock);
  boundConnections(edge.server, options.connectionsMax);
  boundSources(edge.server, options);
  refuseEarly(edge.server, options);
  return edge;
}

type Limits = EdgeOptions["limits"];

/** Node's own refusal of a request without Host has no body; the adapter's becomes a problem. */
const ANSWERED_HERE = { requireHostHeader: false } as const;

const plain = (limits: Limits, listener: RequestListener): EdgeServer => ({
  server: createServer({ ...limits, ...ANSWERED_HERE }, listener),
  setCertificate: () => undefined,
});

/**
 * No session is resumed: one that was would bring a client's certificate without its chain, and
 * without a proof of its key of today. Without tickets there is nothing to resume with.
 */
const CONTEXT = { minVersion: "TLSv1.2", secureOptions: constants.SSL_OP_NO_TICKET } as const;

/**
 * Each client is asked for a certificate and may show none. The server takes any: whose it is, and
 * whether that counts, is judged at each request by the trust roots of then, never by a handshake.
 */
const CLIENTS = { requestCert: true, rejectUnauthorized: false } as const;

function encrypted(limits: Limits, tls: TlsCertificate, listener: RequestListener): EdgeServer {
  const { headersTimeout } = limits;
  // A handshake comes before any header, and Node waits two minutes for one.
  const patience = headersTimeout === undefined ? {} : { handshakeTimeout: headersTimeout };
  const server = createTlsServer(
    { ...limits, ...patience, ...ANSWERED_HERE, ...CLIENTS, ...CONTEXT, ...tls },
    listener,
  );
  // Nobody who has not shaken hands can be told anything: a word for them would wait for ever.
  server.prependListener("tlsClientError", (_error, socket) => socket.destroy());
  return {
    server,
    setCertificate: ({ cert, key }) => server.setSecureContext({ ...CONTEXT, cert, key }),
  };
}
