import { BrokerError } from "@mayfly/spec";

/**
 * The layout of a sealed value, version 1:
 *
 * | bytes | what                                                             |
 * | ----- | ---------------------------------------------------------------- |
 * | 1     | version: 1                                                       |
 * | 1     | length of the key id                                             |
 * | 1–32  | key id, ASCII                                                    |
 * | 32    | salt, from which and the sealing key the wrapping key is derived |
 * | 32    | the data key, encrypted                                          |
 * | 16    | its authentication tag                                           |
 * | any   | the data, encrypted                                              |
 * | 16    | its authentication tag                                           |
 *
 * No nonces: the wrapping key (by its salt) and the data key are each used once, so a constant one
 * is never repeated under a key (NIST SP 800-38D section 8.2). With one long-lived wrapping key
 * and random nonces the limit would be 2^32 values (section 8.3), which a busy installation reaches
 * in weeks.
 */
export const SEAL_VERSION = 1;
export const SALT_BYTES = 32;
export const TAG_BYTES = 16;
const DATA_KEY_BYTES = 32;
const MAX_KEY_ID_BYTES = 32;

export interface SealedValue {
  readonly keyId: string;
  readonly salt: Uint8Array;
  readonly wrappedKey: Uint8Array;
  readonly wrapTag: Uint8Array;
  readonly data: Uint8Array;
  readonly dataTag: Uint8Array;
}

export function formatSealedValue(value: SealedValue): Uint8Array {
  const id = Buffer.from(value.keyId, "ascii");
  return new Uint8Array(
    Buffer.concat([
      Uint8Array.of(SEAL_VERSION, id.length),
      id,
      value.salt,
      value.wrappedKey,
      value.wrapTag,
      value.data,
      value.dataTag,
    ]),
  );
}

export function parseSealedValue(sealed: Uint8Array): SealedValue {
  const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
  const idLength = bytes[1];
  if (bytes[0] !== SEAL_VERSION || idLength === undefined) throw cannotOpen();
  const head = 2 + idLength;
  const dataAt = head + SALT_BYTES + DATA_KEY_BYTES + TAG_BYTES;
  if (idLength === 0 || idLength > MAX_KEY_ID_BYTES || bytes.length < dataAt + TAG_BYTES) {
    throw cannotOpen();
  }
  const keyAt = head + SALT_BYTES;
  return {
    keyId: bytes.toString("latin1", 2, head),
    salt: bytes.subarray(head, keyAt),
    wrappedKey: bytes.subarray(keyAt, keyAt + DATA_KEY_BYTES),
    wrapTag: bytes.subarray(keyAt + DATA_KEY_BYTES, dataAt),
    data: bytes.subarray(dataAt, -TAG_BYTES),
    dataTag: bytes.subarray(-TAG_BYTES),
  };
}

/**
 * The one answer to everything that is wrong with a sealed value: altered, cut, moved to another
 * row, sealed under a key that is not in the ring. No cause either: what OpenSSL says of a failed
 * authentication helps nobody but an attacker.
 */
export function cannotOpen(): BrokerError {
  return new BrokerError(
    "internal",
    "a sealed value cannot be opened: it was altered or moved, or its key is not in the key ring",
  );
}
