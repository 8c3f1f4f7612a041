import { isJsonMap, member, type JsonMap } from "./parse-compact-jwt.ts";

/** The members to walk from the top of the claims. */
export type ClaimPath = readonly [string, ...string[]];

const DEPTH_MAX = 8;

/**
 * `/kubernetes.io/namespace` is a JSON pointer (RFC 6901), for names that have dots or slashes;
 * `namespace.name` is the same walk for names that have none. Null: not a path.
 */
export function parseClaimPath(text: string): ClaimPath | null {
  const segments = text.startsWith("/") ? pointerSegments(text) : text.split(".");
  const [first, ...rest] = segments ?? [];
  if (first === undefined || segments?.includes("") === true || rest.length >= DEPTH_MAX) {
    return null;
  }
  return [first, ...rest];
}

function pointerSegments(text: string): readonly string[] | null {
  // A tilde escapes, and stands for nothing else.
  if (/~(?![01])/.test(text)) return null;
  return text
    .slice(1)
    .split("/")
    .map((segment) => segment.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** The claim at `path`, or undefined. Walks objects only: a position in a list is no identity. */
export function claimAt(claims: JsonMap, path: ClaimPath): unknown {
  let value: unknown = claims;
  for (const name of path) {
    if (!isJsonMap(value)) return undefined;
    value = member(value, name);
  }
  return value;
}
