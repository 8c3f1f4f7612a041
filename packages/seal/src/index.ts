/** Envelope encryption of what must be stored, and the keyed hashes that mark what we made. */
export { createKeyFile } from "./create-key-file.ts";
export { formatKeyRing, parseKeyRing, type KeyRing, type RingKey } from "./key-ring.ts";
export { readKeyRing, type KeyRingSource } from "./read-key-ring.ts";
export { createSealer } from "./sealer.ts";
