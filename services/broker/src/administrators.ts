import { createHash, timingSafeEqual } from "node:crypto";
import { BrokerError, type Actor, type Secret } from "@mayfly/spec";

/** Who may administer. The bootstrap token is printed once; only its hash is stored. */
export interface Administrators {
  /** Routing by the token's visible prefix. */
  claims(token: Secret): boolean;
  /** Throws `unauthenticated`. */
  authenticate(token: Secret): Promise<Actor>;
}

export const ADMIN_TOKEN_PREFIX = "mayfly_admin_";

/**
 * Administrators by the bootstrap token. The token has 256 random bits, so that a plain SHA-256
 * of it can be stored: there is nothing to guess. Read at each use, so that a new one counts at
 * once.
 */
export function bootstrapAdministrators(
  readTokenSha256: () => Promise<string | null>,
): Administrators {
  return {
    claims: (token) => token.expose("crypto").startsWith(ADMIN_TOKEN_PREFIX),
    authenticate: async (token) => {
      const stored = Buffer.from((await readTokenSha256()) ?? "", "hex");
      const presented = createHash("sha256").update(token.expose("crypto")).digest();
      if (stored.length !== presented.length || !timingSafeEqual(stored, presented)) {
        throw new BrokerError("unauthenticated", "The administrator's token is not valid.");
      }
      return { kind: "administrator", name: "bootstrap" };
    },
  };
}
