import type { RequestListener, Server } from "node:http";
import type { Socket } from "node:net";
import { plainAddress, type ConnectedRequest } from "./client-address.ts";
import { sourceOf } from "./source-pace.ts";

/**
 * Requests of one connection that are not answered yet. Node begins every pipelined request at
 * once, as many as a chunk of the socket holds.
 */
const PIPELINED_MAX = 8;
/** Requests after which a connection is closed, with its last answer saying so. */
const REQUESTS_PER_CONNECTION_MAX = 1000;

/** Connections beyond `connectionsMax` are closed at once, unread. */
export function boundConnections(server: Server, connectionsMax: number): void {
  server.maxConnections = connectionsMax;
  server.maxRequestsPerSocket = REQUESTS_PER_CONNECTION_MAX;
}

export interface SourceBounds {
  /** Connections of one source: an IPv4 address, or the /64 of an IPv6 one. */
  readonly connectionsPerSourceMax: number;
  /** Whose connections are many clients', and are not counted. */
  readonly isFromProxy: (incoming: ConnectedRequest) => boolean;
}

/**
 * Connections of one source beyond what it may have are closed at once, before a TLS handshake: so
 * that no source takes all that there are. Nothing of it is known but its address.
 */
export function boundSources(
  server: Server,
  { connectionsPerSourceMax, isFromProxy }: SourceBounds,
): void {
  const open = new Map<string, number>();
  server.on("connection", (socket: Socket) => {
    const address = plainAddress(socket.remoteAddress ?? "");
    // One without an address is gone already.
    if (address === null || isFromProxy({ socket, headers: {} })) return;
    const source = sourceOf(address);
    const count = open.get(source) ?? 0;
    if (count >= connectionsPerSourceMax) {
      socket.destroy();
      // As Node says it of one beyond `maxConnections`: they are counted together.
      server.emit("drop");
      return;
    }
    open.set(source, count + 1);
    socket.once("close", () => {
      const left = (open.get(source) ?? 1) - 1;
      if (left === 0) open.delete(source);
      else open.set(source, left);
    });
  });
}

/**
 * Cuts a connection that has more than {@link PIPELINED_MAX} requests unanswered; what else it
 * sent is dropped without work. Its sender may send again what it got no answer to (RFC 9112
 * section 9.3.2). To stop reading instead would not do: reading a body starts the socket again.
 */
export function boundPipelining(listener: RequestListener): RequestListener {
  const unanswered = new WeakMap<Socket, number>();
  const add = (socket: Socket, change: number): number => {
    const count = (unanswered.get(socket) ?? 0) + change;
    unanswered.set(socket, count);
    return count;
  };
  return (request, response) => {
    const { socket } = request;
    if (socket.destroyed) return;
    if (add(socket, 1) > PIPELINED_MAX) {
      socket.destroy();
      return;
    }
    response.once("close", () => {
      add(socket, -1);
    });
    listener(request, response);
  };
}
