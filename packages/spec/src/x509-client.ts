import { parseTrustRootName, type TrustRootName } from "./ids.ts";

/** RFC 8705 section 2.1: before a client of a registered authority, in `client_id` and policies. */
export const X509_CLIENT_PREFIX = "x509:";
/** A client's name within its trust root. */
export const CLIENT_NAME = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;

/** The issuer of a trust root's clients: no URL, so that no OIDC issuer is ever the same. */
export const x509IssuerOf = (trustRoot: TrustRootName): string =>
  `${X509_CLIENT_PREFIX}${trustRoot}`;

interface X509ClientId {
  readonly trustRoot: TrustRootName;
  readonly client: string;
}

/** `x509:<trust root>#<client>`; null for everything else. */
export function parseX509ClientId(text: string): X509ClientId | null {
  if (!text.startsWith(X509_CLIENT_PREFIX)) return null;
  const [root = "", client = "", ...more] = text.slice(X509_CLIENT_PREFIX.length).split("#");
  if (more.length > 0 || !CLIENT_NAME.test(client)) return null;
  try {
    return { trustRoot: parseTrustRootName(root, "client_id"), client };
  } catch {
    return null;
  }
}
