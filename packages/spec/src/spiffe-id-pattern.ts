import { parseSpiffeId, type SpiffeId } from "./spiffe-id.ts";

/** Which SPIFFE IDs are meant: one, or all below a path. */
export type SpiffeIdPattern =
  | { readonly kind: "exact"; readonly id: SpiffeId }
  | { readonly kind: "below"; readonly id: SpiffeId };

/**
 * A SPIFFE ID, or one with `/*` behind it for every id that goes on from there (`spiffe_id` of
 * draft-ietf-oauth-spiffe-client-auth section 4). The star stands for whole segments and nowhere
 * else: null for any other use of it.
 */
export function parseSpiffeIdPattern(text: string): SpiffeIdPattern | null {
  const isBelow = text.endsWith("/*");
  const id = parseSpiffeId(isBelow ? text.slice(0, -2) : text);
  if (id === null || (!isBelow && id.path === "")) return null;
  return { kind: isBelow ? "below" : "exact", id };
}

export function matchesSpiffeId(pattern: SpiffeIdPattern, { id }: SpiffeId): boolean {
  switch (pattern.kind) {
    case "exact":
      return id === pattern.id.id;
    case "below":
      return id.startsWith(`${pattern.id.id}/`);
  }
}
