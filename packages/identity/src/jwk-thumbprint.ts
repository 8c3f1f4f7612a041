import { hash, type KeyObject } from "node:crypto";

/** The required members of a public key as a JWK (RFC 7638 section 3.2, RFC 8037 section 2). */
export type Coordinates = Readonly<Record<string, string>>;

const REQUIRED = ["crv", "e", "kty", "n", "x", "y"] as const;

/** RFC 7638 section 3: the required members in order of their names, without spaces. */
export function jwkThumbprint(coordinates: Coordinates): string {
  const inOrder = Object.entries(coordinates).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return hash("sha256", JSON.stringify(Object.fromEntries(inOrder)), "base64url");
}

/** Of the public half, as the platform writes its numbers: each in the one spelling that it has. */
export function keyThumbprint(key: KeyObject): string {
  const jwk: Readonly<Record<string, unknown>> = { ...key.export({ format: "jwk" }) };
  const members = REQUIRED.filter((name) => typeof jwk[name] === "string");
  return jwkThumbprint(Object.fromEntries(members.map((name) => [name, String(jwk[name])])));
}
