import { issuerPath } from "./issuer-path.ts";

/** RFC 8414 section 3. */
export const AUTHORIZATION_SERVER = "/.well-known/oauth-authorization-server";
/** RFC 9728 section 3. */
export const PROTECTED_RESOURCE = "/.well-known/oauth-protected-resource";

/** Both have the well-known part before the issuer's path (section 3.1 of each). */
export const wellKnown = (issuer: string, document: string): string =>
  `${new URL(issuer).origin}${document}${issuerPath(issuer)}`;
