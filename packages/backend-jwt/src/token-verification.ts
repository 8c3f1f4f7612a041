import type { JsonObject, ReadToken, TokenVerification } from "@mayfly/spec";
import { readClaims, TYPE } from "./access-token.ts";
import type { TokenLane } from "./token-lane.ts";

/** What APIs verify with, and what introspection asks. Nothing of it issues or ends. */
export function tokenVerification({ settings, host }: TokenLane): TokenVerification {
  const { issuer, keys } = host.tokens;
  const readOwn = (claims: JsonObject | null, nowMs: number | null): ReadToken | null => {
    if (claims === null) return null;
    const own = readClaims(claims, { issuer, installation: host.installation, nowMs });
    return own === null ? null : { ...own, claims };
  };
  return {
    keys: () => keys.published(),
    rotate: (now) => keys.rotate(settings.algorithm, now),
    read: async (token) => readOwn(await keys.verify(TYPE, token), host.clock.now()),
    readForEnd: async (token) => readOwn(await keys.verifyForEnd(TYPE, token), null),
  };
}
