/** RFC 4251 section 5: the data types that keys, certificates and lists of OpenSSH are made of. */
export const wireString = (value: string | Uint8Array): Buffer => {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
};

export const wireUint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

export const wireUint64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
};

/** Of a number that is not negative, whichever zeros its bytes begin with. */
export function wireMpint(bytes: Uint8Array): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0);
  const value = first === -1 ? new Uint8Array() : bytes.subarray(first);
  const isHigh = (value[0] ?? 0) >= 0x80;
  return wireString(isHigh ? Buffer.concat([Buffer.from([0]), value]) : value);
}
