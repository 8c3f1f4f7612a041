/**
 * One request to be sent. Tokens and ids stand in it by name (`__svid.stranger__`), so that it can
 * be kept and sent again to another broker.
 */
export interface FuzzRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string | null;
  /** Done to the body's bytes after it was written as UTF-8. */
  readonly spoiled?: { readonly at: number; readonly bytes: readonly number[] };
  /** How it is written to a socket; in process all are one. */
  readonly wire?: Wire;
}

export const WIRES = [
  "plain",
  "chunked",
  "slow",
  "pipelined",
  "cut",
  "longer",
  "shorter",
  "two_lengths",
  "length_and_chunked",
  "bad_chunk",
  "bad_version",
  "bare_lf",
  "no_host",
  "two_hosts",
  "endless_head",
  "expect",
] as const;
export type Wire = (typeof WIRES)[number];

/** What stands behind each name: values of one target, by name. */
export type Places = ReadonlyMap<string, string>;

/** Of characters that neither JSON nor a form nor a path writes in another way. */
export const place = (name: string): string => `__${name}__`;
const PLACE = /__([a-z][a-z0-9.-]*)__/g;

const filled = (text: string, places: Places): string =>
  text.replaceAll(PLACE, (whole, name: string) => places.get(name) ?? whole);

/** The request as it goes out, with the bytes of its body. */
export interface ReadyRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer | null;
  readonly wire: Wire;
}

export function readyRequest(request: FuzzRequest, places: Places): ReadyRequest {
  const { method, path, headers, body, spoiled, wire } = request;
  const bytes = body === null ? null : Buffer.from(filled(body, places));
  return {
    method,
    path: filled(path, places),
    headers: headers.map(([name, value]) => [name, filled(value, places)] as const),
    body: bytes === null || spoiled === undefined ? bytes : spoil(bytes, spoiled),
    wire: wire ?? "plain",
  };
}

function spoil(bytes: Buffer, { at, bytes: strange }: NonNullable<FuzzRequest["spoiled"]>): Buffer {
  const where = at % (bytes.length + 1);
  return Buffer.concat([bytes.subarray(0, where), Buffer.from(strange), bytes.subarray(where)]);
}
