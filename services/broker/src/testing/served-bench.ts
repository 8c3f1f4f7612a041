import { once } from "node:events";
import { connect, type AddressInfo, type Socket } from "node:net";
import { seededRandom } from "@mayfly/testkit";
import { createFromProxy } from "../http/client-address.ts";
import { createEdgeServer, type TlsCertificate } from "../http/edge-server.ts";
import { unmetered } from "../http/request-meter.ts";
import { createBrokerBench, type BenchOptions, type BrokerBench } from "./broker-bench.ts";

/** The bench behind a real HTTP server, and raw connections to it. */
export interface ServedBench extends AsyncDisposable {
  readonly bench: BrokerBench;
  /** From 127.0.0.1, or another address of this machine. */
  connect(from?: string): Promise<RawConnection>;
  /** Sends bytes and reads until the server closes, or an answer is whole. */
  send(...chunks: readonly (string | Uint8Array)[]): Promise<string>;
  /** How many connections the server holds. */
  connections(): Promise<number>;
  /** How many it closed unread, as too many. */
  dropped(): number;
}
export interface RawConnection {
  readonly socket: Socket;
  write(...chunks: readonly (string | Uint8Array)[]): void;
  /** What came so far, as Latin-1. */
  received(): string;
  /** Resolves when a whole answer came, or the server closed. */
  answered(): Promise<string>;
  /** As a client does that is killed: no goodbye, a reset. */
  reset(): void;
}

/** A busy machine may take so long for what is not about time. */
const REQUEST_MS_MAX = 15_000;
export const CONNECTIONS_MAX = 20;

export interface ServedOptions extends BenchOptions {
  /** Default: as many as there may be in all. */
  readonly connectionsPerSourceMax?: number;
  /** How long a request may take to arrive. Default: as long as a test would wait. */
  readonly requestMsMax?: number;
  /** Default: plain HTTP. */
  readonly tls?: TlsCertificate;
}

export async function serveBench(options: ServedOptions = {}): Promise<ServedBench> {
  const bench = await createBrokerBench(options);
  const { server } = createEdgeServer({
    fetch: bench.app.fetch,
    // Other tests of this process have the platform's own.
    overrideGlobalObjects: false,
    random: seededRandom("served-bench"),
    issuer: bench.issuer,
    admission: bench.admission,
    sourcePace: bench.sourcePace,
    clientAddress: bench.clientAddress,
    meter: unmetered,
    isStopping: () => false,
    connectionsMax: CONNECTIONS_MAX,
    connectionsPerSourceMax: options.connectionsPerSourceMax ?? CONNECTIONS_MAX,
    isFromProxy: createFromProxy({ trustedProxies: options.proxies ?? [] }),
    limits: {
      headersTimeout: options.requestMsMax ?? REQUEST_MS_MAX,
      requestTimeout: options.requestMsMax ?? REQUEST_MS_MAX,
      connectionsCheckingInterval: 50,
      maxHeaderSize: 32 * 1024,
    },
    unreadMsMax: REQUEST_MS_MAX,
    clock: bench.clock,
    tls: options.tls ?? null,
  });
  let dropped = 0;
  server.on("drop", () => {
    dropped += 1;
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const open = async (from?: string): Promise<RawConnection> => {
    const own = from === undefined ? {} : { localAddress: from };
    const socket = connect({ port, host: "127.0.0.1", ...own });
    await once(socket, "connect");
    return rawConnection(socket);
  };
  return {
    bench,
    dropped: () => dropped,
    connect: open,
    send: async (...chunks) => {
      const connection = await open();
      connection.write(...chunks);
      const answer = await connection.answered();
      connection.socket.destroy();
      return answer;
    },
    connections: () =>
      new Promise((resolve, reject) => {
        server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
      }),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function rawConnection(socket: Socket): RawConnection {
  let text = "";
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
  });
  // A server that cuts a connection is what some tests are about.
  socket.on("error", () => undefined);
  return {
    socket,
    write: (...chunks) => {
      for (const chunk of chunks) socket.write(chunk);
    },
    received: () => text,
    answered: () =>
      new Promise((resolve) => {
        const look = (): void => {
          if (isWhole(text) || socket.destroyed) resolve(text);
        };
        socket.on("data", look);
        socket.on("close", () => resolve(text));
        look();
      }),
    reset: () => socket.resetAndDestroy(),
  };
}

/** An answer whose Content-Length was read, or whose last chunk came. */
function isWhole(text: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) return false;
  if (/^transfer-encoding: chunked/im.test(text.slice(0, end))) return text.endsWith("0\r\n\r\n");
  const length = /^content-length: (\d+)/im.exec(text.slice(0, end))?.[1];
  return length !== undefined && text.length >= end + 4 + Number(length);
}

/** A request as text; `Content-Length` is the body's unless it is given. */
export function rawRequest(
  method: string,
  path: string,
  headers: readonly (readonly [string, string])[],
  body = "",
): string {
  const given = headers.some(([name]) => /^(content-length|transfer-encoding)$/i.test(name));
  const all = [
    ["Host", "mayfly.test"],
    ...headers,
    ...(given ? [] : [["Content-Length", String(Buffer.byteLength(body))]]),
  ];
  return `${method} ${path} HTTP/1.1\r\n${all.map(([n, v]) => `${n}: ${v}\r\n`).join("")}\r\n${body}`;
}

export const statusOf = (answer: string): number =>
  Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);

export const bodyOf = (answer: string): unknown => {
  const body: unknown = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4));
  return body;
};
