import { SourceFailure, tokenIn, type IdentitySource } from "./identity-source.ts";

/**
 * A JWT in an environment variable. It cannot be rotated: once it is expired, the task lives for
 * the trust root's `identity_max_age` after its last proof at most. Other processes may read it.
 */
export function environmentIdentity(variable = "MAYFLY_IDENTITY_TOKEN"): IdentitySource {
  return {
    kind: "environment",
    whyNot: async (around) =>
      (around.variable(variable) ?? "") === "" ? `${variable} is not set` : null,
    prove: async (_audience, around) => {
      const text = around.variable(variable);
      if (text === undefined) throw new SourceFailure(`${variable} is not set`);
      return tokenIn(text, variable);
    },
  };
}
