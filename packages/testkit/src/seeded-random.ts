import { createCipheriv, createHash } from "node:crypto";
import type { Random } from "@mayfly/spec";

const BLOCK_MIN = 64;
const BLOCK_MAX = 4096;

/**
 * AES-128 in counter mode under a key made of the seed: the same seed gives the same bytes, on
 * every machine, in every run, and however many are asked for at once.
 */
export function seededRandom(seed: string | number): Random {
  const key = createHash("sha256").update(String(seed)).digest();
  const cipher = createCipheriv("aes-128-ctr", key.subarray(0, 16), key.subarray(16));
  let stock: Buffer = Buffer.alloc(0);
  let at = 0;
  let size = BLOCK_MIN;
  return {
    bytes: (count) => {
      while (stock.length - at < count) {
        stock = Buffer.concat([stock.subarray(at), cipher.update(Buffer.alloc(size))]);
        at = 0;
        size = Math.min(BLOCK_MAX, size * 4);
      }
      const bytes = new Uint8Array(stock.subarray(at, at + count));
      at += count;
      return bytes;
    },
  };
}
