import type { IncomingMessage } from "node:http";
import { BrokerError } from "@mayfly/spec";
import { headerOf, type HttpContext } from "./request-scope.ts";

/**
 * The body as UTF-8 text, never more than `bytesMax` bytes in memory.
 *
 * Reads the Node request directly where there is one: a web stream around it costs several times
 * as much on the hot path. What is not read of one that is too large is left in the socket, so that
 * the answer still gets through; the server drains or cuts it. From when it was read, the request
 * needs a place among those under way: throws `busy` where there is none.
 */
export async function readBody(c: HttpContext, bytesMax: number): Promise<string> {
  const incoming = c.env?.incoming;
  refuseEncoded(headerOf(c, "content-encoding"));
  const declared = Number(headerOf(c, "content-length") ?? "0");
  if (declared > bytesMax) throw tooLarge(bytesMax);
  const chunks =
    incoming === undefined
      ? await chunksOfWeb(c.req.raw.body ?? NO_BODY, bytesMax)
      : await chunksOfNode(incoming, bytesMax);
  c.get("admit")();
  return decodeUtf8(Buffer.concat(chunks));
}

/** By its events: an iterator around them costs as much again as all else that is done here. */
function chunksOfNode(incoming: IncomingMessage, bytesMax: number): Promise<readonly Uint8Array[]> {
  const { promise, resolve, reject } = Promise.withResolvers<readonly Uint8Array[]>();
  const chunks: Uint8Array[] = [];
  let size = 0;
  const take = (chunk: Uint8Array): void => {
    size += chunk.byteLength;
    chunks.push(chunk);
    if (size <= bytesMax) return;
    incoming.off("data", take).pause();
    reject(tooLarge(bytesMax));
  };
  const isCut = (error?: Error): void => reject(cut(error));
  // Whole bodies are closed as well: an exception for each would cost more than reading it.
  const isWhole = (): void => {
    incoming.off("close", isCut);
    resolve(chunks);
  };
  incoming.once("end", isWhole).once("error", isCut).once("close", isCut);
  if (incoming.readableEnded) resolve([]);
  else if (incoming.destroyed) isCut();
  else incoming.on("data", take);
  return promise;
}

/** Of calls in process. */
async function chunksOfWeb(
  body: AsyncIterable<unknown>,
  bytesMax: number,
): Promise<readonly Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const bytes of body) {
      if (!(bytes instanceof Uint8Array)) throw new TypeError("the body is not bytes");
      size += bytes.byteLength;
      if (size > bytesMax) throw tooLarge(bytesMax);
      chunks.push(bytes);
    }
  } catch (error) {
    throw BrokerError.is(error) ? error : cut(error);
  }
  return chunks;
}

const NO_BODY: AsyncIterable<never> = (async function* none() {})();

/** RFC 9110 section 8.4: what stands before the broker would decode it, and see another body. */
function refuseEncoded(coding: string | null): void {
  if (coding === null || /^(?:identity)?$/i.test(coding)) return;
  throw new BrokerError("invalid_request", "A body is sent as it is, and in no encoding.", {
    where: "Content-Encoding",
  });
}

const tooLarge = (limit: number): BrokerError =>
  new BrokerError("too_large", `The body is larger than ${limit} bytes, which is the limit here.`);

/** The sender went away in the middle: its doing, and nobody is left to read the answer. */
const cut = (cause: unknown): BrokerError =>
  new BrokerError("invalid_request", "The body ended before its end.", { where: "body", cause });

/** To make one costs more than to decode a body. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new BrokerError("invalid_request", "The body is not valid UTF-8.", {
      where: "body",
      cause,
    });
  }
}
