/**
 * One text for all spellings of an audience (RFC 3986 section 6.2): case, the default port, dots
 * and slashes at the end of the path. Verifiers compare an audience as it is written (RFC 7519
 * section 4.1.3, RFC 9068 section 4); those that do not would take one of two such for the other.
 */
export function audienceSpelling(audience: string): string {
  if (!URL.canParse(audience)) return audience.toLowerCase();
  const { protocol, host, pathname, search, hash } = new URL(audience);
  const path = pathname.replace(/\/+$/, "");
  return `${protocol}//${host}${path}${search}${hash}`.toLowerCase();
}
