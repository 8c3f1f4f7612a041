import { createHash } from "node:crypto";
import type { Random } from "@mayfly/spec";

/** SHA-256 in counter mode: the same seed gives the same bytes, on every machine, in every run. */
export function seededRandom(seed: string | number): Random {
  let counter = 0;
  let stock: Buffer = Buffer.alloc(0);
  return {
    bytes: (count) => {
      while (stock.length < count) {
        const block = createHash("sha256").update(`${seed}/${counter++}`).digest();
        stock = Buffer.concat([stock, block]);
      }
      const bytes = new Uint8Array(stock.subarray(0, count));
      stock = stock.subarray(count);
      return bytes;
    },
  };
}
