import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
  /** Of a name in lower case. */
  header(name: string): string | null;
}

/**
 * HTTP/1.1 over connections that are kept, one request at a time on each, and nothing else: the
 * load generator runs on the same cores as what it measures, and this takes a third of the time
 * that a client for everything takes.
 */
export interface HttpClient {
  /** Rejects when the connection was lost before the answer was whole. */
  request(method: string, path: string, headers: string, body: Body): Promise<HttpAnswer>;
  close(): void;
}
/** With whose certificate a request goes is known when it has its connection. */
export type Body = string | ((clientId: string) => string);

/** Whom connections belong to, in turn. */
export interface MutualTls {
  /** PEM: the server's certificate ends there. */
  readonly ca: string;
  readonly clients: readonly { readonly id: string; readonly cert: string; readonly key: string }[];
}

export interface HttpClientOptions {
  /** The address that connections come from. Default: any. */
  readonly source?: string | null;
  /** Default: plain HTTP. */
  readonly tls?: MutualTls | null;
}

interface Waiting {
  readonly bytes: (clientId: string) => string;
  resolve(answer: HttpAnswer): void;
  reject(error: Error): void;
}

/** Servers close what is idle for 5 s: what is not quite so old may be closed while it is used. */
const IDLE_MS_MAX = 3000;

/** `connections`: at most so many; further requests wait. `headers` are whole lines. */
export function openHttpClient(
  url: string,
  connections: number,
  { source = null, tls = null }: HttpClientOptions = {},
): HttpClient {
  const { hostname, port } = new URL(url);
  let opened = 0;
  const open = (): { readonly socket: Socket; readonly clientId: string } => {
    const from = source === null ? {} : { localAddress: source };
    const to = { port: Number(port), host: hostname, ...from };
    const client = tls?.clients[opened++ % tls.clients.length];
    if (tls === null || client === undefined) return { socket: connect(to), clientId: "" };
    const { id: clientId, cert, key } = client;
    // Which name the server has says nothing here: it is the only one under this authority.
    const own = { ca: tls.ca, cert, key, checkServerIdentity: () => undefined };
    return { socket: connectTls({ ...to, ...own }), clientId };
  };
  const free: { readonly connection: Connection; readonly sinceMs: number }[] = [];
  const all = new Set<Connection>();
  const queue: Waiting[] = [];
  const next = (connection: Connection): void => {
    const waiting = queue.shift();
    if (waiting === undefined) free.push({ connection, sinceMs: performance.now() });
    else connection.send(waiting);
  };
  const ended = (connection: Connection): void => {
    all.delete(connection);
    const index = free.findIndex((idle) => idle.connection === connection);
    if (index !== -1) free.splice(index, 1);
    const waiting = queue.shift();
    if (waiting !== undefined) start(waiting);
  };
  const start = (waiting: Waiting): void => {
    for (let idle = free.pop(); idle !== undefined; idle = free.pop()) {
      if (performance.now() - idle.sinceMs < IDLE_MS_MAX) {
        idle.connection.send(waiting);
        return;
      }
      idle.connection.close();
    }
    if (all.size >= connections) {
      queue.push(waiting);
      return;
    }
    const { socket, clientId } = open();
    const connection = openConnection(socket, clientId, next, ended);
    all.add(connection);
    connection.send(waiting);
  };
  return {
    request: (method, path, headers, body) =>
      new Promise((resolve, reject) => {
        const bytes = (clientId: string): string => {
          const text = typeof body === "string" ? body : body(clientId);
          const length = text === "" ? "" : `content-length: ${Buffer.byteLength(text)}\r\n`;
          return `${method} ${path} HTTP/1.1\r\nhost: bench\r\n${headers}${length}\r\n${text}`;
        };
        start({ bytes, resolve, reject });
      }),
    close: () => {
      for (const connection of all) connection.close();
    },
  };
}

interface Connection {
  send(waiting: Waiting): void;
  close(): void;
}

function openConnection(
  socket: Socket,
  clientId: string,
  isFree: (connection: Connection) => void,
  ended: (connection: Connection) => void,
): Connection {
  socket.setNoDelay(true);
  let waiting: Waiting | null = null;
  let received = "";
  const connection: Connection = {
    send: (one) => {
      waiting = one;
      socket.write(one.bytes(clientId), "utf8");
    },
    close: () => socket.destroy(),
  };
  socket.on("data", (chunk: Buffer) => {
    received += chunk.toString("latin1");
    const answer = parseAnswer(received);
    if (answer === null || waiting === null) return;
    const answered = waiting;
    waiting = null;
    received = "";
    // A server that says so closes: nothing more is sent on this one.
    if (answer.header("connection") === "close") socket.destroy();
    else isFree(connection);
    answered.resolve(answer);
  });
  socket.on("error", () => undefined);
  socket.on("close", () => {
    ended(connection);
    waiting?.reject(new Error("the connection was lost"));
  });
  return connection;
}

/** Null until it is whole. Bytes are Latin-1: what is beyond ASCII does not matter here. */
export function parseAnswer(received: string): HttpAnswer | null {
  const end = received.indexOf("\r\n\r\n");
  if (end === -1) return null;
  const head = received.slice(0, end + 2);
  const lower = head.toLowerCase();
  const header = (name: string): string | null => {
    const at = lower.indexOf(`\r\n${name}:`);
    if (at === -1) return null;
    return head.slice(at + name.length + 3, head.indexOf("\r\n", at + 2)).trim();
  };
  const rest = received.slice(end + 4);
  const text =
    header("transfer-encoding") === "chunked"
      ? parseChunks(rest)
      : ofLength(rest, Number(header("content-length") ?? 0));
  // After `HTTP/1.1 `.
  return text === null ? null : { status: Number(head.slice(9, 12)), text, header };
}

const ofLength = (rest: string, length: number): string | null =>
  rest.length < length ? null : rest.slice(0, length);

function parseChunks(rest: string): string | null {
  let text = "";
  for (let at = 0; ;) {
    const end = rest.indexOf("\r\n", at);
    if (end === -1) return null;
    const size = Number.parseInt(rest.slice(at, end), 16);
    if (rest.length < end + 2 + size + 2) return null;
    if (size === 0) return text;
    text += rest.slice(end + 2, end + 2 + size);
    at = end + 2 + size + 2;
  }
}
