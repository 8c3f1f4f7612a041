import type { ReadyRequest, Wire } from "./fuzz-request.ts";

/** What is written to the socket, piece by piece, and whether our side is ended after it. */
export interface WireBytes {
  readonly pieces: readonly Buffer[];
  readonly isEnded: boolean;
}

const HOST = "mayfly.system.test";
const ENDED: ReadonlySet<Wire> = new Set([
  "cut",
  "longer",
  "bad_chunk",
  "endless_head",
  "length_and_chunked",
  "two_lengths",
  "bare_lf",
]);

export function wireBytes(request: ReadyRequest): WireBytes {
  const { wire } = request;
  return { pieces: piecesOf(request), isEnded: ENDED.has(wire) };
}

function piecesOf(request: ReadyRequest): readonly Buffer[] {
  const { wire } = request;
  const body = request.body ?? Buffer.alloc(0);
  const whole = (...more: readonly string[]): Buffer => Buffer.concat([head(request, more), body]);
  const sized = whole(`Content-Length: ${body.length}`);
  const chunked = Buffer.concat([
    Buffer.from(`${body.length.toString(16)}\r\n`),
    body,
    Buffer.from(body.length === 0 ? "\r\n" : "\r\n0\r\n\r\n"),
  ]);
  switch (wire) {
    case "plain":
    case "bad_version":
    case "no_host":
    case "two_hosts":
      return [request.body === null ? whole() : sized];
    case "chunked":
      return [Buffer.concat([head(request, ["Transfer-Encoding: chunked"]), chunked])];
    case "slow":
      return split(sized, 5);
    case "pipelined":
      return [Buffer.concat([sized, sized])];
    case "cut":
      return [sized.subarray(0, Math.floor(sized.length * 0.6))];
    case "longer":
      return [whole(`Content-Length: ${body.length + 10}`)];
    case "shorter":
      return [whole(`Content-Length: ${Math.floor(body.length / 2)}`)];
    case "two_lengths":
      return [whole(`Content-Length: ${body.length}`, "Content-Length: 0")];
    case "length_and_chunked":
      return [
        Buffer.concat([
          head(request, [`Content-Length: ${body.length}`, "Transfer-Encoding: chunked"]),
          chunked,
        ]),
      ];
    case "bad_chunk":
      return [
        Buffer.concat([
          head(request, ["Transfer-Encoding: chunked"]),
          Buffer.from("ZZ;a=b\r\n"),
          chunked,
        ]),
      ];
    case "bare_lf":
      return [Buffer.from(sized.toString("latin1").replaceAll("\r\n", "\n"), "latin1")];
    case "endless_head":
      return [Buffer.from(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n${"X-A: b\r\n".repeat(9000)}`)];
    case "expect":
      return [whole(`Content-Length: ${body.length}`, "Expect: 100-continue")];
  }
}

function head({ method, path, headers, wire }: ReadyRequest, more: readonly string[]): Buffer {
  const hosts = wire === "no_host" ? [] : [`Host: ${HOST}`];
  if (wire === "two_hosts") hosts.push("Host: evil.test");
  const lines = [
    `${method} ${path} HTTP/${wire === "bad_version" ? "9.9" : "1.1"}`,
    ...hosts,
    ...headers.map(([name, value]) => `${name}: ${value}`),
    ...more,
  ];
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
}

function split(bytes: Buffer, parts: number): readonly Buffer[] {
  const size = Math.ceil(bytes.length / parts);
  return Array.from({ length: parts }, (_, n) => bytes.subarray(n * size, (n + 1) * size));
}
