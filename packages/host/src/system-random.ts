import { randomBytes } from "node:crypto";
import type { Random } from "@mayfly/spec";

/** The operating system's generator, fit for secrets. */
export const systemRandom: Random = { bytes: (count) => new Uint8Array(randomBytes(count)) };
