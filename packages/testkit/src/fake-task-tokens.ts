import {
  BrokerError,
  Secret,
  type InstantMs,
  type TaskTokenClaims,
  type TaskTokens,
} from "@mayfly/spec";

/** Task tokens that are looked up, not verified: for tests of what stands on them. */
export interface FakeTaskTokens extends TaskTokens {
  /** What the last signed one says. */
  readonly lastClaims: TaskTokenClaims | null;
  /** The next `times` signings fail. */
  failSigning(times?: number): void;
}

export function createFakeTaskTokens(): FakeTaskTokens {
  const signed = new Map<string, TaskTokenClaims & { readonly jti: string }>();
  let lastClaims: TaskTokenClaims | null = null;
  let failures = 0;
  return {
    sign: async (claims) => {
      if (failures > 0) {
        failures--;
        throw new BrokerError("internal", "no signing key");
      }
      const jti = `jti-${signed.size + 1}`;
      const token = `fake-task-token.${signed.size + 1}`;
      signed.set(token, { ...claims, jti });
      lastClaims = claims;
      return Secret.of(token);
    },
    lengthOf: (claims) => JSON.stringify(claims).length,
    verify: async (token: Secret, now: InstantMs) => {
      const claims = signed.get(token.expose("crypto"));
      if (claims !== undefined && now < claims.expiresAt) return claims;
      throw new BrokerError("unauthenticated", "The task token is not valid.");
    },
    readForEnd: async (token: Secret, now: InstantMs) => {
      const claims = signed.get(token.expose("crypto")) ?? null;
      if (claims === null) return null;
      return { claims, standing: now < claims.expiresAt ? "counts" : "dead" };
    },
    jwks: async () => ({ keys: [] }),
    rotate: async () => undefined,
    get lastClaims() {
      return lastClaims;
    },
    failSigning: (times = 1) => {
      failures = times;
    },
  };
}
