import { randomFillSync } from "node:crypto";
import type { Random } from "@mayfly/spec";

/** A call to the generator costs microseconds, whether for 16 bytes or for thousands. */
const POOL_BYTES = 4096;
/** More than this at once is asked for by itself. */
const DRAWN_BYTES_MAX = 256;

const pool = Buffer.allocUnsafeSlow(POOL_BYTES);
let used = POOL_BYTES;

/** The operating system's generator, fit for secrets. What was handed out is not kept. */
export const systemRandom: Random = {
  bytes: (count) => {
    if (count > DRAWN_BYTES_MAX) return randomFillSync(new Uint8Array(count));
    if (used + count > POOL_BYTES) {
      randomFillSync(pool);
      used = 0;
    }
    const drawn = Uint8Array.prototype.slice.call(pool, used, used + count);
    pool.fill(0, used, used + count);
    used += count;
    return drawn;
  },
};
