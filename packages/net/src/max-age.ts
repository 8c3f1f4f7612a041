/**
 * Seconds for which an answer is still good (RFC 9111 sections 4.2.1 and 5.2.2): `max-age` less
 * `Age`; 0 for `no-store` and `no-cache`; null where nothing usable is said.
 */
export function maxAgeSeconds(cacheControl: string, age: string): number | null {
  const directives = cacheControl
    .toLowerCase()
    .split(",")
    .map((directive) => directive.trim());
  if (directives.some((name) => name === "no-store" || name === "no-cache")) return 0;
  const stated = directives
    .map((directive) => /^max-age="?(\d{1,10})"?$/.exec(directive)?.[1])
    .find((seconds) => seconds !== undefined);
  if (stated === undefined) return null;
  const spent = /^\d{1,10}$/.test(age.trim()) ? Number(age.trim()) : 0;
  return Math.max(0, Number(stated) - spent);
}
