import type { IncomingMessage } from "node:http";
import { BrokerError } from "@mayfly/spec";
import type { HttpContext } from "./request-scope.ts";

/**
 * The body as UTF-8 text, never more than `bytesMax` bytes in memory.
 *
 * Reads the Node request directly where there is one: a web stream around it costs several times
 * as much on the hot path. What is not read of one that is too large is left in the socket, so that
 * the answer still gets through; the server drains or cuts it. From when it was read, the request
 * needs a place among those under way: throws `busy` where there is none.
 */
export async function readBody(c: HttpContext, bytesMax: number): Promise<string> {
  const request = c.req.raw;
  const incoming = c.env?.incoming;
  const declared = Number(request.headers.get("content-length") ?? "0");
  if (declared > bytesMax) throw tooLarge(bytesMax);
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of streamOf(request, incoming)) {
      const bytes: unknown = chunk;
      if (!(bytes instanceof Uint8Array)) throw new TypeError("the body is not bytes");
      size += bytes.byteLength;
      if (size > bytesMax) throw tooLarge(bytesMax);
      chunks.push(bytes);
    }
  } catch (error) {
    throw BrokerError.is(error) ? error : cut(error);
  }
  c.get("admit")();
  return decodeUtf8(Buffer.concat(chunks));
}

const streamOf = (
  request: Request,
  incoming: IncomingMessage | undefined,
): AsyncIterable<unknown> =>
  incoming?.iterator({ destroyOnReturn: false }) ?? request.body ?? NO_BODY;

const NO_BODY: AsyncIterable<never> = (async function* none() {})();

const tooLarge = (limit: number): BrokerError =>
  new BrokerError("too_large", `The body is larger than ${limit} bytes, which is the limit here.`);

/** The sender went away in the middle: its doing, and nobody is left to read the answer. */
const cut = (cause: unknown): BrokerError =>
  new BrokerError("invalid_request", "The body ended before its end.", { where: "body", cause });

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new BrokerError("invalid_request", "The body is not valid UTF-8.", {
      where: "body",
      cause,
    });
  }
}
