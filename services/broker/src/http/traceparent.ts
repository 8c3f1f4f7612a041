import type { RemoteSpan } from "@mayfly/spec";

/**
 * W3C Trace Context level 1, section 3.2: `version-traceid-parentid-flags`, lowercase hex. Version
 * `ff` and ids of zeros are invalid; a later version is read by its first four members. What is
 * malformed is ignored, as section 4.3 says: a request is never refused for its trace.
 */
export function parseTraceparent(header: string | null): RemoteSpan | null {
  if (header === null || header.length > 512) return null;
  const match = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(header);
  const [, version = "ff", traceId = "", spanId = "", flags = "", more] = match ?? [];
  if (version === "ff" || (version === "00" && more !== undefined)) return null;
  if (/^0*$/.test(traceId) || /^0*$/.test(spanId)) return null;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}
