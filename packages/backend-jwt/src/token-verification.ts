import type { TokenVerification } from "@mayfly/spec";
import { readClaims, TYPE } from "./access-token.ts";
import type { TokenLane } from "./token-lane.ts";

/** What APIs verify with, and what introspection asks. Nothing of it issues or ends. */
export function tokenVerification({ settings, host }: TokenLane): TokenVerification {
  const { issuer, keys } = host.tokens;
  return {
    keys: () => keys.published(),
    rotate: (now) => keys.rotate(settings.algorithm, now),
    read: async (token) => {
      const claims = await keys.verify(TYPE, token);
      if (claims === null) return null;
      const { installation, clock } = host;
      const own = readClaims(claims, { issuer, installation, nowMs: clock.now() });
      return own === null ? null : { ...own, claims };
    },
  };
}
