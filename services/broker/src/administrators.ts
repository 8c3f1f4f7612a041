import { createHash, timingSafeEqual } from "node:crypto";
import { BrokerError, type Actor, type Secret } from "@mayfly/spec";
import { sharedLook } from "./shared-look.ts";

/** Who may administer. The bootstrap token is printed once; only its hash is stored. */
export interface Administrators {
  /** Routing by the token's visible prefix. */
  claims(token: Secret): boolean;
  /** Throws `unauthenticated`. */
  authenticate(token: Secret): Promise<Actor>;
}

export const ADMIN_TOKEN_PREFIX = "mayfly_admin_";
/** 256 random bits in base64url behind the prefix. */
const ADMIN_TOKEN = /^mayfly_admin_[A-Za-z0-9_-]{43}$/;

/**
 * Administrators by the bootstrap token. The token has 256 random bits, so that a plain SHA-256
 * of it can be stored: there is nothing to guess. Read anew for each use, so that a new one counts
 * at once; those who come together share a look, and what cannot be a token needs none, so that a
 * flood of wrong tokens does not become one of queries.
 */
export function bootstrapAdministrators(
  readTokenSha256: () => Promise<string | null>,
): Administrators {
  const look = sharedLook(readTokenSha256);
  return {
    claims: (token) => token.expose("crypto").startsWith(ADMIN_TOKEN_PREFIX),
    authenticate: async (token) => {
      const text = token.expose("crypto");
      if (!ADMIN_TOKEN.test(text)) throw notValid();
      const stored = Buffer.from((await look()) ?? "", "hex");
      const presented = createHash("sha256").update(text).digest();
      if (stored.length !== presented.length || !timingSafeEqual(stored, presented)) {
        throw notValid();
      }
      return { kind: "administrator", name: "bootstrap" };
    },
  };
}

const notValid = (): BrokerError =>
  new BrokerError("unauthenticated", "The administrator's token is not valid.");
