/**
 * The two messages of the SPIFFE Workload API that are needed here, in protobuf's wire format
 * (`workload.proto`: JWTSVIDRequest, JWTSVIDResponse). All fields are strings or messages.
 */

const LENGTH_DELIMITED = 2;
const AUDIENCE = 1;
const SPIFFE_ID = 2;

export interface JwtSvid {
  readonly spiffeId: string;
  readonly svid: string;
}

/** `JWTSVIDRequest { repeated string audience = 1; string spiffe_id = 2; }` */
export function encodeJwtSvidRequest(audience: string, spiffeId: string | null): Uint8Array {
  return Uint8Array.from([
    ...field(AUDIENCE, audience),
    ...(spiffeId === null ? [] : field(SPIFFE_ID, spiffeId)),
  ]);
}

function field(number: number, text: string): readonly number[] {
  const bytes = new TextEncoder().encode(text);
  return [(number << 3) | LENGTH_DELIMITED, ...varint(bytes.length), ...bytes];
}

function varint(value: number): readonly number[] {
  const bytes: number[] = [];
  let left = value;
  while (left > 127) {
    bytes.push((left & 127) | 128);
    left >>>= 7;
  }
  return [...bytes, left];
}

/**
 * `JWTSVIDResponse { repeated JWTSVID svids = 1; }`, of `JWTSVID { string spiffe_id = 1;
 * string svid = 2; … }`. Fields that are not known are passed over. Throws at what is no message.
 */
export function decodeJwtSvidResponse(bytes: Uint8Array): readonly JwtSvid[] {
  return fieldsIn(bytes)
    .filter(({ number }) => number === 1)
    .map(({ value }) => {
      const fields = fieldsIn(value);
      const text = (wanted: number): string =>
        new TextDecoder().decode(fields.findLast(({ number }) => number === wanted)?.value);
      return { spiffeId: text(1), svid: text(2) };
    });
}

interface Field {
  readonly number: number;
  readonly value: Uint8Array;
}

/** Length-delimited fields; those of other wire types are skipped by their length. */
function fieldsIn(bytes: Uint8Array): readonly Field[] {
  const fields: Field[] = [];
  let at = 0;
  const next = (): number => {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined) break;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
    throw new Error("not a protobuf message");
  };
  const skip = (count: number): number => {
    const from = at;
    at += count;
    if (at > bytes.length) throw new Error("not a protobuf message");
    return from;
  };
  while (at < bytes.length) {
    const key = next();
    switch (key & 7) {
      case 0:
        next();
        break;
      case 1:
        skip(8);
        break;
      case LENGTH_DELIMITED: {
        const length = next();
        const from = skip(length);
        fields.push({ number: key >>> 3, value: bytes.subarray(from, at) });
        break;
      }
      case 5:
        skip(4);
        break;
      default:
        throw new Error("not a protobuf message");
    }
  }
  return fields;
}
