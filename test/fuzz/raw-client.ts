import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { ReadyRequest } from "./fuzz-request.ts";
import type { FuzzAnswer } from "./judge-answer.ts";
import { wireBytes } from "./wire-bytes.ts";

/** Sends requests as bytes, the sound ones over connections that are kept. */
export interface RawClient extends Disposable {
  send(request: ReadyRequest): Promise<FuzzAnswer>;
}

/** More than the broker's own limits on a slow request, and the longest wait that can be asked. */
const ANSWER_MS_MAX = 90_000;
const SLOW_MS = 15;
/** Headers after which a server may well end the connection. */
const ODD = /^(?:content-length|transfer-encoding|expect|upgrade|connection)$/i;

export function createRawClient(port: number): RawClient {
  const idle: Socket[] = [];
  const all = new Set<Socket>();
  const open = async (): Promise<Socket> => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    all.add(socket);
    // Who is cut off in the middle is told by what was read until then.
    socket.on("error", () => undefined);
    socket.on("close", () => all.delete(socket));
    await once(socket, "connect");
    return socket;
  };
  const kept = (): Socket | undefined => {
    for (let socket = idle.pop(); socket !== undefined; socket = idle.pop()) {
      if (!socket.destroyed && socket.writable) return socket;
    }
    return undefined;
  };
  return {
    send: async (request) => {
      const isKept = request.wire === "plain" && !request.headers.some(([name]) => ODD.test(name));
      const before = isKept ? kept() : undefined;
      const socket = before ?? (await open());
      const answer = await exchangeOn(socket, request);
      // The server may just have ended it, as idle for too long.
      if (answer.kind === "closed" && before !== undefined) {
        return exchangeOn(await open(), request);
      }
      const isReusable =
        isKept && answer.kind === "answered" && answer.headers.get("connection") !== "close";
      if (isReusable && !socket.destroyed) idle.push(socket);
      else socket.destroy();
      return answer;
    },
    [Symbol.dispose]: () => {
      for (const socket of all) socket.destroy();
    },
  };
}

async function exchangeOn(socket: Socket, request: ReadyRequest): Promise<FuzzAnswer> {
  const { pieces, isEnded } = wireBytes(request);
  const answer = readAnswer(socket, request.method);
  for (const [index, piece] of pieces.entries()) {
    if (index > 0) await sleep(SLOW_MS);
    if (socket.writable) socket.write(piece);
  }
  if (isEnded) socket.end();
  return answer;
}

function readAnswer(socket: Socket, method: string): Promise<FuzzAnswer> {
  return new Promise((resolve) => {
    let received = Buffer.alloc(0);
    const finish = (answer: FuzzAnswer): void => {
      clearTimeout(timer);
      socket.off("data", take);
      socket.off("close", closed);
      socket.off("end", closed);
      resolve(answer);
    };
    const take = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk]);
      const answer = parsed(received, method, false);
      if (answer !== null) finish(answer);
    };
    const closed = (): void => finish(parsed(received, method, true) ?? { kind: "closed" });
    const timer = setTimeout(() => finish({ kind: "hung" }), ANSWER_MS_MAX);
    socket.on("data", take);
    socket.on("close", closed);
    socket.on("end", closed);
  });
}

/** The first whole answer; null while it is not whole. */
function parsed(bytes: Buffer, method: string, isOver: boolean): FuzzAnswer | null {
  const end = bytes.indexOf("\r\n\r\n");
  if (end === -1) return null;
  const [first = "", ...lines] = bytes.subarray(0, end).toString("latin1").split("\r\n");
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1] ?? 0);
  const rest = bytes.subarray(end + 4);
  if (status >= 100 && status < 200) return parsed(rest, method, isOver);
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
    }),
  );
  const answered = (text: string): FuzzAnswer => ({ kind: "answered", status, headers, text });
  if (method === "HEAD" || status === 204 || status === 304) return answered("");
  if (headers.get("transfer-encoding") === "chunked") {
    const text = unchunked(rest);
    return text === null ? null : answered(text);
  }
  const length = Number(headers.get("content-length") ?? Number.NaN);
  if (Number.isNaN(length)) return isOver ? answered(rest.toString()) : null;
  return rest.length < length ? null : answered(rest.subarray(0, length).toString());
}

function unchunked(bytes: Buffer): string | null {
  const parts: Buffer[] = [];
  for (let at = 0; ;) {
    const line = bytes.indexOf("\r\n", at);
    if (line === -1) return null;
    const size = Number.parseInt(bytes.subarray(at, line).toString("latin1"), 16);
    if (Number.isNaN(size)) return null;
    if (size === 0) return Buffer.concat(parts).toString();
    const from = line + 2;
    if (bytes.length < from + size + 2) return null;
    parts.push(bytes.subarray(from, from + size));
    at = from + size + 2;
  }
}
