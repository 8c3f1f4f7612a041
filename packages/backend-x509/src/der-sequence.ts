const SEQUENCE = 0x30;
const LONG = 0x80;

/** What is encoded already, as a SEQUENCE (X.690 sections 8.9, 10.1): the encoder has no such. */
export function sequence(parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  if (length < LONG) return Buffer.concat([Buffer.from([SEQUENCE, length]), ...parts]);
  const digits = length.toString(16);
  const octets = Buffer.from(digits.padStart(digits.length + (digits.length % 2), "0"), "hex");
  return Buffer.concat([Buffer.from([SEQUENCE, LONG + octets.length]), octets, ...parts]);
}

/** What is in a SEQUENCE that was just encoded. */
export function contentOf(der: Uint8Array): Uint8Array {
  const first = der[1] ?? 0;
  return der.subarray(first < LONG ? 2 : 2 + first - LONG);
}
