import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { gunzipSync } from "node:zlib";
import protobuf from "protobufjs";

/**
 * What of `opentelemetry/proto/collector/trace/v1` is looked at, by its field numbers; unknown ones
 * are passed over, as in every protobuf.
 */
const PROTO = `
syntax = "proto3";
message Request { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Resource { repeated KeyValue attributes = 1; }
message ScopeSpans { repeated Span spans = 2; }
message Span {
  bytes trace_id = 1; bytes span_id = 2; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
  repeated KeyValue attributes = 9; Status status = 15;
}
message Status { string message = 2; int32 code = 3; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue {
  oneof value {
    string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4;
  }
}`;
const Request = protobuf.parse(PROTO, { keepCase: true }).root.lookupType("Request");

export interface SeenSpan {
  readonly service: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string;
  readonly failed: boolean;
  readonly attributes: Readonly<Record<string, unknown>>;
}

export interface Collector extends AsyncDisposable {
  readonly url: string;
  readonly spans: readonly SeenSpan[];
  /** Every byte that came, headers included. */
  raw(): Buffer;
}

/** A collector that takes everything, or never answers. */
export async function startCollector(manner: "takes" | "hangs"): Promise<Collector> {
  const spans: SeenSpan[] = [];
  const bytes: Buffer[] = [];
  const receive = async (request: IncomingMessage): Promise<void> => {
    const body = await buffer(request);
    const isZipped = request.headers["content-encoding"] === "gzip";
    const plain = isZipped ? gunzipSync(body) : body;
    bytes.push(Buffer.from(JSON.stringify(request.headers)), plain);
    spans.push(...decode(plain));
  };
  const server = createServer((request, response) => {
    receive(request).then(
      () => (manner === "takes" ? response.writeHead(200).end() : undefined),
      () => response.writeHead(400).end(),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // Of a server that listens on a port.
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1/traces`,
    spans,
    raw: () => Buffer.concat(bytes),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

interface KeyValue {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}
interface Decoded {
  readonly resource_spans: readonly {
    readonly resource: { readonly attributes: readonly KeyValue[] };
    readonly scope_spans: readonly { readonly spans: readonly DecodedSpan[] }[];
  }[];
}
interface DecodedSpan {
  readonly trace_id: Uint8Array;
  readonly span_id: Uint8Array;
  readonly parent_span_id: Uint8Array;
  readonly name: string;
  readonly attributes: readonly KeyValue[];
  readonly status: { readonly code: number } | null;
}

function decode(body: Buffer): readonly SeenSpan[] {
  const message = Request.toObject(Request.decode(body), { arrays: true, defaults: true });
  // The shape that PROTO says, which the library does not type.
  const decoded = message as unknown as Decoded;
  return decoded.resource_spans.flatMap(({ resource, scope_spans: scopes }) => {
    const service = String(attributesOf(resource.attributes)["service.name"]);
    return scopes.flatMap(({ spans }) =>
      spans.map((span) => ({
        service,
        name: span.name,
        traceId: hex(span.trace_id),
        spanId: hex(span.span_id),
        parentId: hex(span.parent_span_id),
        failed: span.status?.code === 2,
        attributes: attributesOf(span.attributes),
      })),
    );
  });
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const attributesOf = (pairs: readonly KeyValue[]): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    pairs.map(({ key, value }) => [key, Object.values(value).find((one) => one !== undefined)]),
  );
