import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { RequestError } from "@hono/node-server";
import { BrokerError, type Random } from "@mayfly/spec";
import type { SourceBounds } from "./bound-connections.ts";
import type { ClientAddress } from "./client-address.ts";
import { problemAnswer } from "./problem.ts";
import type { SourcePace } from "./source-pace.ts";

export interface RefusalPorts {
  readonly random: Random;
  readonly issuer: string;
}
interface EarlyPorts extends RefusalPorts, Pick<SourceBounds, "isFromProxy"> {
  readonly sourcePace: Pick<SourcePace, "refuses" | "malformed">;
  readonly clientAddress: ClientAddress;
}

/**
 * Answers what never becomes a request of the application: a head that cannot be parsed, is too
 * large or too slow, `CONNECT`, and an expectation that nobody here meets. Each gets a problem with
 * a trace id, as everything else does, and its connection is closed. What is malformed counts
 * against its source, and one that has sent too much of it is cut without an answer.
 */
export function refuseEarly(server: Server, ports: EarlyPorts): void {
  const latest = new WeakMap<Duplex, ServerResponse>();
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    latest.set(request.socket, response);
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => {
    // In the middle of an answer, a second one would be read as part of the first.
    const answering = latest.get(socket);
    const isMidAnswer = answering?.headersSent === true && !answering.writableFinished;
    if (!socket.writable || isMidAnswer || error.code === "ECONNRESET") {
      socket.destroy();
      return;
    }
    const refusal = refusalOf(error);
    // A body that ends before its end was cut off: its sender may be anybody.
    const isCut = answering !== undefined && !answering.writableFinished;
    const counts = refusal.code !== "request_timeout" && !isCut;
    if (counts && !isHeard(addressOf(socket, ports), ports)) socket.destroy();
    else endWith(socket, refusal, ports);
  });
  server.on("connect", (_request: IncomingMessage, socket: Duplex) => {
    endWith(socket, new BrokerError("method_not_allowed", "This is no proxy."), ports);
  });
  server.on("checkExpectation", (request: IncomingMessage, response: ServerResponse) => {
    if (!isHeard(ports.clientAddress(request), ports)) {
      request.socket.destroy();
      return;
    }
    const error = new BrokerError("invalid_request", "Only 100-continue can be expected here.", {
      where: "Expect",
    });
    const { status, headers, body } = problemOf(error, ports);
    const length = String(Buffer.byteLength(body));
    response.writeHead(status, { ...headers, "Content-Length": length, Connection: "close" });
    response.end(body);
  });
}

/** Without its head nothing is known of it but its connection, which may be a proxy's. */
const addressOf = (socket: Duplex, { clientAddress, isFromProxy }: EarlyPorts): string | null =>
  socket instanceof Socket && !isFromProxy({ socket, headers: {} })
    ? clientAddress({ socket, headers: {} })
    : null;

/** Counts what is malformed; false: its source has sent too much of it to be answered. */
function isHeard(address: string | null, { sourcePace }: EarlyPorts): boolean {
  if (sourcePace.refuses(address)) return false;
  sourcePace.malformed(address);
  return true;
}

/**
 * For what the adapter could make no request of (a bad Host), which counts against the source of
 * `head`, or got no answer to.
 */
export function unanswerable(
  error: unknown,
  head: IncomingMessage | null,
  ports: EarlyPorts,
): Response {
  const isRequest = error instanceof RequestError;
  if (isRequest && head !== null) ports.sourcePace.malformed(ports.clientAddress(head));
  const known = isRequest
    ? new BrokerError("invalid_request", "The Host header or the path is malformed.")
    : new BrokerError("internal", "The broker failed; nothing more is said here.");
  const { status, headers, body } = problemOf(known, ports);
  return new Response(body, { status, headers });
}

function refusalOf(error: NodeJS.ErrnoException): BrokerError {
  switch (error.code) {
    case "HPE_HEADER_OVERFLOW":
      return new BrokerError("headers_too_large", "The head of the request is too large.");
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return new BrokerError("request_timeout", "The request was not here in time.");
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return new BrokerError("too_large", "The chunk extensions are too large.");
    default:
      return new BrokerError("invalid_request", "This is no HTTP/1.1 request.");
  }
}

interface Written {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

function problemOf(error: BrokerError, { random, issuer }: RefusalPorts): Written {
  const trace = Buffer.from(random.bytes(16)).toString("hex");
  const { status, headers, body } = problemAnswer(error, trace, issuer);
  return { status, headers: { ...headers, "Mayfly-Trace": trace }, body: JSON.stringify(body) };
}

function endWith(socket: Duplex, error: BrokerError, ports: RefusalPorts): void {
  const { status, headers, body } = problemOf(error, ports);
  const length = Buffer.byteLength(body);
  const head = Object.entries({ ...headers, "Content-Length": String(length), Connection: "close" })
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("");
  socket.end(`HTTP/1.1 ${status} \r\n${head}\r\n${body}`);
  // Whoever does not read the answer holds the connection no longer.
  if (socket instanceof Socket) socket.destroySoon();
}
