import { getPath } from "hono/utils/url";

/** The issuer's path as the router sees paths, or "" for none. */
export function issuerPath(issuer: string): string {
  const path = getPath(new Request(issuer));
  return path === "/" ? "" : path;
}

/** A request's path without the issuer's, where it begins with it. */
export function pathWithin(base: string, request: Request): string {
  const path = getPath(request);
  return base !== "" && path.startsWith(`${base}/`) ? path.slice(base.length) : path;
}
