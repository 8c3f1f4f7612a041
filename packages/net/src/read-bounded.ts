import { OutboundError } from "./outbound-error.ts";

/** All bytes of a body, or an error as soon as it is known to be too large. */
export async function readBounded(
  body: AsyncIterable<unknown>,
  bytesMax: number,
  contentLength: string,
  host: string,
): Promise<Uint8Array> {
  if (Number(contentLength) > bytesMax) throw tooLarge(host, bytesMax);
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    if (!(chunk instanceof Uint8Array)) throw new TypeError("a body is read in bytes");
    length += chunk.length;
    if (length > bytesMax) throw tooLarge(host, bytesMax);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}

const tooLarge = (host: string, bytesMax: number): OutboundError =>
  new OutboundError("too_large", host, `it answered with more than ${bytesMax} bytes`);
