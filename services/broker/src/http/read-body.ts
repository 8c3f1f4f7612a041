import type { IncomingMessage } from "node:http";
import { BrokerError } from "@mayfly/spec";

const tooLarge = (limit: number): BrokerError =>
  new BrokerError("too_large", `The body is larger than ${limit} bytes, which is the limit here.`);

/**
 * The body as UTF-8 text, never more than `bytesMax` bytes in memory.
 *
 * Reads the Node request directly where there is one: a web stream around it costs several times
 * as much on the hot path.
 */
export async function readBody(
  request: Request,
  incoming: IncomingMessage | undefined,
  bytesMax: number,
): Promise<string> {
  const declared = Number(request.headers.get("content-length") ?? "0");
  if (declared > bytesMax) throw tooLarge(bytesMax);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of incoming ?? request.body ?? []) {
    const bytes: unknown = chunk;
    if (!(bytes instanceof Uint8Array))
      throw new BrokerError("invalid_request", "The body is not bytes.");
    size += bytes.byteLength;
    if (size > bytesMax) throw tooLarge(bytesMax);
    chunks.push(bytes);
  }
  return decodeUtf8(Buffer.concat(chunks));
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new BrokerError("invalid_request", "The body is not valid UTF-8.", { cause });
  }
}
