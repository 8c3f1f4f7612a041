/** A parsed SPIFFE ID (SPIFFE ID section 2). */
export interface SpiffeId {
  readonly id: string;
  readonly trustDomain: string;
  /** With its leading slash, or empty. */
  readonly path: string;
}

const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;
const SPIFFE_ID = /^spiffe:\/\/([a-z0-9._-]{1,255})((?:\/[A-Za-z0-9._-]+)*)$/;
const DOT_SEGMENT = /\/\.\.?(?:\/|$)/;
const BYTES_MAX = 2048;

export const isTrustDomain = (text: string): boolean => TRUST_DOMAIN.test(text);

/**
 * Null unless `text` is a SPIFFE ID as it is written. By pattern, never by the platform's URL
 * parser, which resolves `..`, drops an empty query and lowers the scheme.
 */
export function parseSpiffeId(text: string): SpiffeId | null {
  if (text.length > BYTES_MAX) return null;
  const match = SPIFFE_ID.exec(text);
  const [, trustDomain, path] = match ?? [];
  if (trustDomain === undefined || path === undefined) return null;
  if (DOT_SEGMENT.test(path)) return null;
  return { id: text, trustDomain, path };
}

/** The id of a workload: a trust domain's own id names its authority. */
export function parseWorkloadId(text: string): SpiffeId | null {
  const id = parseSpiffeId(text);
  return id === null || id.path === "" ? null : id;
}
