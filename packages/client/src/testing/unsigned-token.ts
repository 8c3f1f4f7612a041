const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A JWT that nobody signed: what a client sees of one before it sends it. */
export const unsignedToken = (
  audience: string | readonly string[],
  id = "t",
  more: Readonly<Record<string, unknown>> = {},
): string =>
  `${part({ alg: "ES256", typ: "JWT" })}.${part({ aud: audience, jti: id, ...more })}.c2lnbmF0dXJl`;
